"""wechatpy under FastAPI: uvicorn --workers 2 with_fastapi:app."""

from answering import answer
from fastapi import FastAPI, Request, Response

app = FastAPI()


@app.post("/wechat/shop")
async def push(request: Request):
    return Response(answer(request.query_params, await request.body()), media_type="text/xml")
