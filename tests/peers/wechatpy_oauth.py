"""wechatpy as the judge of the OAuth service's addresses, and as another reader of its answers.

  target/wechatpy/bin/python tests/peers/wechatpy_oauth.py

Reads a line of JSON for each question and prints a line of JSON with what wechatpy says:

  {"do": "authorize", "at", "appid", "redirect_uri", "scope", "state"}   the address of WeChat's page
  {"do": "login", "api", "appid", "secret", "code"}                      who a code stands for, at this API
"""

import json
import sys

from wechatpy.oauth import WeChatOAuth


def authorize(at, appid, redirect_uri, scope, state):
    oauth = WeChatOAuth(appid, "no secret", redirect_uri, scope, state)
    oauth.OAUTH_BASE_URL = f"{at}/connect/"
    return oauth.authorize_url


def login(api, appid, secret, code):
    oauth = WeChatOAuth(appid, secret, "http://unused.example/", "snsapi_userinfo")
    oauth.API_BASE_URL = f"{api}/"
    token = oauth.fetch_access_token(code)
    return {"openid": token["openid"], "unionid": token.get("unionid"), "profile": oauth.get_user_info()}


for line in sys.stdin:
    question = json.loads(line)
    print(json.dumps({"authorize": authorize, "login": login}[question.pop("do")](**question)), flush=True)
