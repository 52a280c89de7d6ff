"""Routes that change the index; they always need a key.

Photos are not taken in here: the folder is the user's, and `hgan index` reads it.
"""

from uuid import UUID

from fastapi import APIRouter

from hgan.serve.keys import Manager
from hgan.serve.problems import documented
from hgan.serve.service import Serving

router = APIRouter(prefix="/v1/items/{key}", tags=["manage"], dependencies=[Manager])


@router.delete("", status_code=204, responses=documented(401, 403, 404))
async def remove(key: UUID, serving: Serving) -> None:
    """Take a photo out of the index; the file stays, and the next indexing finds it again."""
    await serving.texts.run(serving.library.remove, str(key))
