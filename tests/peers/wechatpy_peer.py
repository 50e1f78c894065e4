"""wechatpy as WeChat's side of the message service, and as the business program behind it.

  target/wechatpy/bin/python tests/peers/wechatpy_peer.py SAMPLES

First it prints the URL of its business program, for [[messages.forward]]. Then it reads one line of
JSON: {"url", "token", "aes_key", "appid", "mode"}, where `url` is a callback whose rules answer
texts as REPLIES says and forward everything else. It pushes every sample and every wish, prints a
line of JSON for each (what was compared, and what differs), and ends with 1 if anything did.

Nothing here is ours but the wishes: wechatpy encrypts, signs, decrypts, and reads.
"""

import http.server
import json
import queue
import re
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import xmltodict
from wechatpy import events, messages, parse_message, replies
from wechatpy.crypto import WeChatCrypto
from wechatpy.utils import WeChatSigner

ARTICLE = {"Title": "标题", "Description": "d", "PicUrl": "https://p.example/1.jpg", "Url": "https://n.example/1?a=1&b=2"}

# What the text, or the key of a menu, wishes for → the reply that wechatpy must read. The rules of
# the test answer so.
REPLIES = {
    "wish text": ("text", {"content": "你好 ]]> <b>&amp; 😀\nzweite"}),
    "wish image": ("image", {"image": "MEDIA-1"}),
    "wish voice": ("voice", {"voice": "MEDIA-2"}),
    "wish video": ("video", {"video": {"MediaId": "MEDIA-3", "Title": "t", "Description": "d"}}),
    "wish music": ("music", {"music": {
        "Title": "t", "Description": "d", "MusicUrl": "https://m.example/a?b=1&c=2", "HQMusicUrl": "https://m.example/hq",
        "ThumbMediaId": "MEDIA-4"}}),
    "wish news": ("news", {"articles": [ARTICLE]}),
    "wish more news": ("news", {"articles": [ARTICLE, {**ARTICLE, "Title": "second"}]}),
    "wish transfer": ("transfer_customer_service", {}),
}

FORWARDED = queue.Queue()


class Program(http.server.BaseHTTPRequestHandler):
    """Takes what the service forwards."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        FORWARDED.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


class Peer:
    def __init__(self, url, token, aes_key, appid, mode):
        self.url, self.token, self.mode = url, token, mode
        self.crypto = WeChatCrypto(token, aes_key, appid)
        self.nonces = 0

    def push(self, xml):
        """Sends a push as WeChat does; the reply's text, decrypted."""
        self.nonces += 1
        nonce, timestamp = str(1_000_000 + self.nonces), str(int(time.time()))
        signer = WeChatSigner()
        signer.add_data(self.token, timestamp, nonce)
        query = {"signature": signer.signature, "timestamp": timestamp, "nonce": nonce, "openid": "oFromQuery"}
        body = xml
        if self.mode != "plain":
            sealed = xmltodict.parse(self.crypto.encrypt_message(xml, nonce, timestamp))["xml"]
            query.update(encrypt_type="aes", msg_signature=sealed["MsgSignature"])
            to = xmltodict.parse(xml)["xml"]["ToUserName"]
            encrypt = f"<Encrypt><![CDATA[{sealed['Encrypt']}]]></Encrypt>"
            if self.mode == "safe":
                body = f"<xml><ToUserName><![CDATA[{to}]]></ToUserName>{encrypt}</xml>"
            else:
                body = xml.rstrip().removesuffix("</xml>") + encrypt + "</xml>"
        request = urllib.request.Request(
            f"{self.url}?{urllib.parse.urlencode(query)}", body.encode(), {"Content-Type": "text/xml"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                text = answer.read().decode()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"HTTP {error.code}: {error.read().decode()}") from None
        if self.mode == "plain" or text in ("", "success"):
            return text
        outer = xmltodict.parse(text)["xml"]
        assert list(outer) == ["Encrypt", "MsgSignature", "TimeStamp", "Nonce"], list(outer)
        return self.crypto.decrypt_message(text, outer["MsgSignature"], outer["TimeStamp"], outer["Nonce"])


def texts(value):
    """xmltodict's tree in the service's words: an empty element is an empty text."""
    if isinstance(value, dict):
        return {name: texts(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [texts(inner) for inner in value]
    # xmltodict strips also the white space within CDATA, which is the user's own and which we keep.
    return (value or "").strip()


def differences(wanted, got, path=""):
    if isinstance(wanted, dict) and isinstance(got, dict):
        names = list(dict.fromkeys([*wanted, *got]))
        return [line for name in names for line in differences(wanted.get(name), got.get(name), f"{path}.{name}")]
    return [] if wanted == got else [f"{path or '.'}: wechatpy has {wanted!r}, we have {got!r}"]


def understood(peer, xml):
    """A sample's fields as the business program got them, against wechatpy's reading."""
    read = parse_message(xml)
    answer = peer.push(xml)
    found = differences("success", answer, "answer")
    forwarded = FORWARDED.get(timeout=30)["message"]
    found += differences(texts(xmltodict.parse(xml)["xml"]), texts(forwarded["fields"]), "fields")
    found += differences(
        {"from": read.source, "to": read.target, "created": int(read._data["CreateTime"])},
        {name: forwarded[name] for name in ("from", "to", "created")})
    if getattr(read, "scene_id", None):
        found += differences(read.scene_id, forwarded["scene"], "scene")
    if read.id:
        found += differences(read.id, int(forwarded["id"]), "id")
    return type(read), found


def text_push(content, number):
    escaped = content.replace("]]>", "]]]]><![CDATA[>")
    return (f"<xml><ToUserName><![CDATA[gh_1]]></ToUserName><FromUserName><![CDATA[oUser]]></FromUserName>"
            f"<CreateTime>1700000000</CreateTime><MsgType><![CDATA[text]]></MsgType>"
            f"<Content><![CDATA[{escaped}]]></Content><MsgId>{number}</MsgId></xml>")


def click_push(key, number):
    return (f"<xml><ToUserName><![CDATA[gh_1]]></ToUserName><FromUserName><![CDATA[oUser]]></FromUserName>"
            f"<CreateTime>{1_700_000_000 + number}</CreateTime><MsgType><![CDATA[event]]></MsgType>"
            f"<Event><![CDATA[CLICK]]></Event><EventKey><![CDATA[{key}]]></EventKey></xml>")


def answered(peer, wish, number):
    """The reply to a wish, read by both of wechatpy's readers."""
    kind, fields = REPLIES[wish]
    # Only events are answered with several articles.
    several = len(fields.get("articles", [])) > 1
    text = peer.push((click_push if several else text_push)(wish, number))
    found = [f"it begins with a declaration: {text[:40]}"] if text.startswith("<?xml") else []
    raw = xmltodict.parse(text)["xml"]
    found += differences(("oUser", "gh_1"), (raw["ToUserName"], raw["FromUserName"]), "to and from")
    # wechatpy's own reader of articles cannot read a single one.
    if kind != "news" or several:
        reply = replies.deserialize_reply(text)
        found += differences(kind, reply.type, "type")
        found += differences(("oUser", "gh_1"), (reply.target, reply.source), "reply's to and from")
    if several:
        titles = [article["title"] for article in reply.articles]
        found += differences([article["Title"] for article in fields["articles"]], titles, "titles")
    element = {"text": "Content", "news": "Articles"}.get(kind, kind.capitalize())
    for wanted in fields.values():
        got = raw[element]
        if kind == "news":
            found += differences(str(len(wanted)), raw["ArticleCount"], "ArticleCount")
            wanted = {"item": wanted if several else wanted[0]}
        elif kind in ("image", "voice"):
            got = got["MediaId"]
        found += differences(wanted, got, element)
    parsed = parse_message(text)
    found += differences(kind, parsed.type if kind in messages.MESSAGE_TYPES else raw["MsgType"], "parse_message")
    if kind == "text":
        found += differences(fields["content"], parsed.content, "parse_message's content")
        found += differences(fields["content"], reply.content, "deserialize_reply's content")
    return found


def echoed(peer, length, number):
    """A reply of each length: the padding is another one each time."""
    content = ("echo " + "0123456789" * 200)[:length]
    return differences(content, replies.deserialize_reply(peer.push(text_push(content, number))).content, f"length {length}")


def main():
    program = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Program)
    threading.Thread(target=program.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{program.server_port}/", flush=True)
    peer = Peer(**json.loads(sys.stdin.readline()))
    wrong = 0

    def say(what, found):
        nonlocal wrong
        wrong += bool(found)
        print(json.dumps({"what": what, "differs": found}, ensure_ascii=False), flush=True)

    def tried(what, check, *args):
        try:
            return check(peer, *args)
        except Exception as error:  # Whatever wechatpy makes of it is a difference.
            return [f"{type(error).__name__}: {error}"]

    seen = set()
    for number, sample in enumerate(sorted(Path(sys.argv[1]).glob("*.xml"))):
        # Each from another user: two that differ in little would be one, sent twice.
        xml, count = re.subn(r"(<FromUserName>.*?\[)\w+(\])", rf"\g<1>oUser{number}\g<2>", sample.read_text(), count=1, flags=re.DOTALL)
        assert count == 1, sample
        result = tried(sample.name, understood, xml)
        if isinstance(result, tuple):
            seen.add(result[0])
            result = result[1]
        say(sample.name, result)
    known = {**messages.MESSAGE_TYPES, **events.EVENT_TYPES}
    say("every type that wechatpy knows has a sample",
        sorted(name for name, cls in known.items() if cls not in seen))
    for number, wish in enumerate(REPLIES, 1):
        say(wish, tried(wish, answered, wish, number))
    for length in [*range(6, 106), 1_999, 2_000]:
        say(f"echo of {length} bytes", tried(length, echoed, length, 10_000 + length))
    print(json.dumps({"checked": len(seen), "wrong": wrong}), flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
