#!/usr/bin/env python3
"""A small client of zhongkong: reads, complains about and watches WeChat's credentials.

It uses nothing but grpcio and stubs made from the proto (see README.md). Copy what you
need; the three rules that every client has to keep are marked with RULE.
"""

import argparse
import hashlib
import os
import random
import sys
import threading
import time

import grpc

from zhongkong.v1 import token_control_pb2 as pb
from zhongkong.v1 import token_control_pb2_grpc as rpc

KINDS = {
    "access_token": pb.KIND_ACCESS_TOKEN,
    "jsapi_ticket": pb.KIND_JSAPI_TICKET,
    "wx_card_ticket": pb.KIND_WX_CARD_TICKET,
}
# After this long without any message a watch is dead, whatever TCP says.
SILENCE = 45


class Bearer(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    """Adds the bearer token to each call."""

    def __init__(self, token):
        self._metadata = [("authorization", f"Bearer {token}")] if token else []

    def _with_token(self, details):
        return details._replace(metadata=list(details.metadata or []) + self._metadata)

    def intercept_unary_unary(self, call, details, request):
        return call(self._with_token(details), request)

    def intercept_unary_stream(self, call, details, request):
        return call(self._with_token(details), request)


def connect(addr, token, ca=None):
    """Connects to host:port or unix:/path. With the PEM of an authority, over TLS."""
    options = [
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        # For Unix sockets: a name that HTTP/2 accepts; it leads nowhere.
        *([("grpc.default_authority", "localhost")] if addr.startswith("unix:") else []),
    ]
    if ca:
        with open(ca, "rb") as pem:
            channel = grpc.secure_channel(addr, grpc.ssl_channel_credentials(pem.read()), options)
    else:
        channel = grpc.insecure_channel(addr, options)
    return rpc.TokenControlStub(grpc.intercept_channel(channel, Bearer(token)))


def fingerprint(value):
    """How a value is named: never log the value itself."""
    return hashlib.sha256(value.encode()).hexdigest()[:16]


def describe(token):
    state = pb.TokenState.Name(token.state).removeprefix("TOKEN_STATE_").lower()
    left = token.remaining.ToTimedelta().total_seconds()
    kind = pb.Kind.Name(token.kind).removeprefix("KIND_").lower()
    return (
        f"{token.appid} {kind} {token.fingerprint} generation {token.generation}"
        f" {state}, {left:.0f} s left"
    )


def get(stub, args):
    request = pb.GetTokenRequest(appid=args.appid, kind=KINDS[args.kind])
    request.max_wait.FromSeconds(args.wait)
    token = stub.GetToken(request, timeout=args.wait + 10).token
    # RULE: use the value for `cache_for` at most, then ask again (or watch).
    print(token.value if args.value else describe(token))


def complain(stub, args):
    """Reports the current value, or the named one, as dead; prints the verdict."""
    seen = args.seen
    if not seen:
        request = pb.GetTokenRequest(appid=args.appid, kind=KINDS[args.kind])
        seen = stub.GetToken(request, timeout=10).token.fingerprint
    request = pb.ForceRefreshRequest(
        appid=args.appid, kind=KINDS[args.kind], seen_fingerprint=seen, errcode=args.errcode
    )
    answer = stub.ForceRefresh(request, timeout=65)
    # RULE: on REFRESHED and ALREADY_REPLACED repeat the failed call once with this value; on
    # STILL_VALID the fault lies elsewhere, and repeating would not help.
    print(pb.Outcome.Name(answer.outcome).removeprefix("OUTCOME_").lower(), describe(answer.token))


def watch(stub, args):
    """Keeps a local copy of every key that may be read, for as long as it runs."""
    held = {}
    pause = 1.0
    while True:
        request = pb.WatchTokensRequest(
            known=[
                pb.KnownToken(appid=appid, kind=kind, generation=token.generation)
                for (appid, kind), token in held.items()
            ]
        )
        try:
            for event in messages(stub, request):
                take(held, event)
                pause = 1.0
        except grpc.RpcError as error:
            if error.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
                raise
            print(f"not watching: {error.code().name}: {error.details()}", file=sys.stderr)
        # Spread, so that a restarted daemon is not met by all its clients at once.
        time.sleep(pause * random.uniform(0.5, 1.0))
        pause = min(pause * 2, 30.0)


def messages(stub, request):
    """The messages of one stream. It ends by an error when the daemon falls silent."""
    call = stub.WatchTokens(request)
    alarm = None
    try:
        while True:
            alarm = threading.Timer(SILENCE, call.cancel)
            alarm.daemon = True
            alarm.start()
            try:
                message = next(call)
            except StopIteration:
                return
            finally:
                alarm.cancel()
            yield message
    finally:
        call.cancel()


def take(held, message):
    match message.WhichOneof("event"):
        case "token":
            token = message.token
            key = (token.appid, token.kind)
            old = held.get(key)
            # RULE: never go back to a lower generation.
            if old and token.generation < old.generation:
                return
            if not token.value and old:
                # Unchanged since we last had it, so it came without its value.
                token.value = old.value
            held[key] = token
            print(describe(token), flush=True)
        case "withdrawn":
            gone = message.withdrawn
            held.pop((gone.appid, gone.kind), None)
            reason = pb.WithdrawnReason.Name(gone.reason).removeprefix("WITHDRAWN_REASON_").lower()
            print(f"{gone.appid} {pb.Kind.Name(gone.kind)} withdrawn: {reason}", flush=True)
        case "snapshot_complete":
            print(f"-- {len(held)} values; waiting for changes", flush=True)
        case "heartbeat":
            pass


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--addr", default=os.environ.get("ZHONGKONG_ADDR", "127.0.0.1:7780"))
    parser.add_argument("--token-file", help="holds the bearer token; else ZHONGKONG_TOKEN does")
    parser.add_argument("--ca", help="PEM of the authority of the daemon's certificate")
    commands = parser.add_subparsers(required=True)

    def key_arguments(command):
        command.add_argument("appid")
        command.add_argument("kind", nargs="?", default="access_token", choices=KINDS)

    one = commands.add_parser("get", help="read one value")
    key_arguments(one)
    one.add_argument("--wait", type=int, default=0, help="seconds to wait while there is none")
    one.add_argument("--value", action="store_true", help="print the value itself")
    one.set_defaults(run=get)
    one = commands.add_parser("complain", help="report a value as dead")
    key_arguments(one)
    one.add_argument("--seen", help="fingerprint of the value that failed; else the current one's")
    one.add_argument("--errcode", type=int, default=40001, help="what WeChat said; 0 if not known")
    one.set_defaults(run=complain)
    one = commands.add_parser("watch", help="follow every key until interrupted")
    one.set_defaults(run=watch)
    args = parser.parse_args()

    token = os.environ.get("ZHONGKONG_TOKEN", "")
    if args.token_file:
        with open(args.token_file, encoding="ascii") as file:
            token = file.read().strip()
    try:
        args.run(connect(args.addr, token, args.ca), args)
    except grpc.RpcError as error:
        print(f"{error.code().name}: {error.details()}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
