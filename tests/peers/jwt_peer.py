"""PyJWT as an application's back end: reads assertions with the keys of jwks.json.

  target/wechatpy/bin/python tests/peers/jwt_peer.py

For each line of JSON on stdin, {"assertion", "jwks", "issuer", "audience", "now"}, a line on stdout:
{"claims"} of an assertion that is genuine, or {"error"}. Nothing here is ours.
"""

import json
import sys

import jwt

for line in sys.stdin:
    asked = json.loads(line)
    try:
        keys = jwt.PyJWKSet.from_dict(asked["jwks"])
        kid = jwt.get_unverified_header(asked["assertion"])["kid"]
        key = next(key for key in keys.keys if key.key_id == kid)
        claims = jwt.decode(
            asked["assertion"], key, algorithms=["ES256"], audience=asked["audience"], issuer=asked["issuer"],
            options={"require": ["iss", "aud", "sub", "iat", "exp", "jti"], "verify_exp": False, "verify_iat": False},
        )
        if not claims["iat"] <= asked["now"] < claims["exp"]:
            raise jwt.ExpiredSignatureError("not at this time")
        print(json.dumps({"claims": claims}), flush=True)
    except StopIteration:
        print(json.dumps({"error": "UnknownKey"}), flush=True)
    except jwt.PyJWTError as error:
        print(json.dumps({"error": type(error).__name__}), flush=True)
