"""wechatpy signs the same: reads a JSON list of cases and prints wechatpy's signature of each.

  target/wechatpy/bin/python tests/peers/wechatpy_jssdk.py < CASES

A case is {"page": [noncestr, ticket, timestamp, url]}, {"values": [...]} for a card, or
{"choose": {"appid", "ticket", "card_type", "noncestr", "timestamp"}}. Nothing here is ours.
"""

import json
import sys

from wechatpy import WeChatClient
from wechatpy.client.api import WeChatJSAPI
from wechatpy.utils import WeChatSigner


def page(noncestr, ticket, timestamp, url):
    return WeChatJSAPI(WeChatClient("wx1", "secret")).get_jsapi_signature(noncestr, ticket, timestamp, url)


def values(*values):
    signer = WeChatSigner()
    signer.add_data(*values)
    return signer.signature


def choose(appid, ticket, card_type, noncestr, timestamp):
    api = WeChatJSAPI(WeChatClient(appid, "secret"))
    return api.get_jsapi_card_params(ticket, card_type, noncestr=noncestr, timestamp=timestamp)["sign"]


def main():
    signed = []
    for case in json.load(sys.stdin):
        (kind, given), = case.items()
        signed.append(choose(**given) if kind == "choose" else {"page": page, "values": values}[kind](*given))
    json.dump(signed, sys.stdout)


if __name__ == "__main__":
    main()
