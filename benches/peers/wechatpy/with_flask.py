"""wechatpy under Flask: gunicorn --workers 2 with_flask:app."""

from answering import answer
from flask import Flask, request

app = Flask(__name__)


@app.post("/wechat/shop")
def push():
    return answer(request.args, request.data), {"Content-Type": "text/xml"}
