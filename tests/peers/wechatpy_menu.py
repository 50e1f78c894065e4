"""wechatpy as another program with the same account: it reads and makes menus at a WeChat.

  target/wechatpy/bin/python tests/peers/wechatpy_menu.py BASE APPID TOKEN read
  target/wechatpy/bin/python tests/peers/wechatpy_menu.py BASE APPID TOKEN match USER
  target/wechatpy/bin/python tests/peers/wechatpy_menu.py BASE APPID TOKEN make < MENU.json

Prints one line of JSON. `make` takes {"button": […], "conditional": [{"button", "matchrule"}]}.
"""

import json
import sys

from wechatpy import WeChatClient


def main():
    base, appid, token, act, *rest = sys.argv[1:]
    client = WeChatClient(appid, "not-the-secret", access_token=token)
    client.API_BASE_URL = f"{base}/cgi-bin/"
    client.auto_retry = False
    if act == "read":
        said = {"get": client.menu.get(), "info": client.menu.get_menu_info()}
    elif act == "match":
        said = client.menu.try_match(rest[0])
    else:
        menus = json.load(sys.stdin)
        client.menu.create({"button": menus["button"]})
        said = {"menuids": [client.menu.add_conditional(one)["menuid"] for one in menus.get("conditional", [])]}
    print(json.dumps(said, ensure_ascii=False))


if __name__ == "__main__":
    main()
