// Light or dark before anything is painted; without a choice of one's own, as the system has it.
// No module: those run after the first paint.
"use strict";
{
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const kept = () => {
    try {
      return localStorage.getItem("hgan.theme");
    } catch {
      return null; // a browser that keeps nothing
    }
  };
  const dark = () => (root.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";

  const chosen = kept();
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.querySelector("button.theme");
    const say = () => {
      button.title = dark() ? "Use light colours" : "Use dark colours";
      button.setAttribute("aria-label", button.title);
    };
    button.addEventListener("click", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      try {
        localStorage.setItem("hgan.theme", root.dataset.theme);
      } catch {
        // Then it holds for this page.
      }
      say();
    });
    system.addEventListener("change", say);
    say();
  });
}
