"""What both services in Python do with a push: wechatpy reads it, and writes what zhongkong's rules answer."""

from wechatpy import parse_message
from wechatpy.crypto import WeChatCrypto
from wechatpy.replies import TextReply

CRYPTO = WeChatCrypto("pamtest", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG", "wxb11529c136998cb6")


def answer(query, body):
    nonce, timestamp = query["nonce"], query["timestamp"]
    message = parse_message(CRYPTO.decrypt_message(body, query["msg_signature"], timestamp, nonce))
    if "营业时间" not in message.content:
        return ""
    reply = TextReply(content="每天 9:00 到 21:00", message=message)
    return CRYPTO.encrypt_message(reply.render(), nonce, timestamp)
