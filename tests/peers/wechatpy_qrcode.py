"""wechatpy as another program with the same account: it makes codes at a WeChat and asks for their pictures.

  target/wechatpy/bin/python tests/peers/wechatpy_qrcode.py BASE APPID TOKEN create < BODY.json
  target/wechatpy/bin/python tests/peers/wechatpy_qrcode.py BASE APPID TOKEN show TICKET

Prints one line of JSON. wechatpy has the address of WeChat's pictures built in; only its host is
exchanged here.
"""

import json
import sys

from wechatpy import WeChatClient
from wechatpy.client.api import qrcode


def main():
    base, appid, token, act, *rest = sys.argv[1:]
    client = WeChatClient(appid, "not-the-secret", access_token=token)
    client.API_BASE_URL = f"{base}/cgi-bin/"
    client.auto_retry = False
    if act == "create":
        said = client.qrcode.create(json.load(sys.stdin))
    else:
        get = qrcode.requests.get
        qrcode.requests.get = lambda url, **more: get(url.replace("https://mp.weixin.qq.com", base), **more)
        picture = client.qrcode.show(rest[0])
        said = {"status": picture.status_code, "text": picture.text, "url": client.qrcode.get_url(rest[0])}
    print(json.dumps(said, ensure_ascii=False))


if __name__ == "__main__":
    main()
