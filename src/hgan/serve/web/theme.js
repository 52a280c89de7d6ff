// Set the light or dark theme before the first paint: the user's choice, or the system's theme.
// Not a module, since modules run after the first paint.
"use strict";
{
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const kept = () => {
    try {
      return localStorage.getItem("hgan.theme");
    } catch {
      return null; // a browser without storage
    }
  };
  const dark = () => (root.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";

  const chosen = kept();
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.querySelector("button.theme");
    const updateLabel = () => {
      button.title = dark() ? "Use light colours" : "Use dark colours";
      button.setAttribute("aria-label", button.title);
    };
    button.addEventListener("click", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      try {
        localStorage.setItem("hgan.theme", root.dataset.theme);
      } catch {
        // Without storage, the choice is lost when the page is reloaded.
      }
      updateLabel();
    });
    system.addEventListener("change", updateLabel);
    updateLabel();
  });
}
