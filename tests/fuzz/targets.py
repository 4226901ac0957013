"""All targets by name, each with what it is begun with and the words its messages are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from meshctl.config import templates

from . import codecs, documents, texts, through

ODD = [
    b"",
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b":",
    b"\0",
    b"0",
    b"-",
    b",",
    b";",
    b"\xff",
    b"a",
    b"=",
    b'"',
    b"%",
    b"/",
    b"\\",
]


@dataclass(frozen=True)
class Target:
    """A function that must hold whatever it is given."""

    attack: Callable[[bytes], None]
    seeds: list[bytes]
    words: list[bytes]


def _json(*words: str) -> list[bytes]:
    return [word.encode() for word in words]


WITHOUT_STYLE = [each[1:] for each in through.REQUESTS]
TARGETS = {
    "requests": Target(codecs.attack_requests, WITHOUT_STYLE, through.WORDS),
    "proxy-requests": Target(codecs.attack_proxy_requests, WITHOUT_STYLE, through.WORDS),
    "responses": Target(codecs.attack_responses, [each[1:] for each in through.ANSWERS[:-1]], through.ANSWER_WORDS),
    "chunked": Target(
        codecs.attack_chunked,
        [
            b"5\r\nhello\r\n0\r\n\r\n",
            b"3;a=b\r\nabc\r\n0;x\r\nX-T: 1\r\nX-U: 2\r\n\r\n",
            b'A;q="x"\r\n0123456789\r\n000\r\n\r\n',
        ],
        [*ODD, b"0\r\n\r\n", b"ffffffffffffffff", b"5\r\nhello\r\n", b";x=y", codecs.CUT],
    ),
    "frames": Target(
        codecs.attack_frames,
        [b"\2\0\0\0\0\0\0\5hello\1\0\0\0", b"\3\0\0\6denied", b"\0\0\0\0\0\0\0\1a\0\xff\xff\xff"],
        [*ODD, b"\1\0\0\0", b"\2\0\0\0", b"\3\0\1\0", b"\4\0\0\0", codecs.CUT],
    ),
    "cookies": Target(
        texts.attack_cookies,
        [b'a=1; b=x=y; a=2\nc="q"; =z', b"__Host-s=1;s.1=2; s.2=3", b"a"],
        [*ODD, b"; ", b"a=", b'="', b"__Host-"],
    ),
    "fields": Target(
        texts.attack_fields,
        [
            b'max-age=60, private="x, y", stale-while-revalidate',
            b"timeout=5, max=100",
            b"gzip;q=0.5, br, *;q=0",
            b"Sun, 06 Nov 1994 08:49:37 GMT",
            b"Sunday, 06-Nov-94 08:49:37 GMT",
            b"Sun Nov  6 08:49:37 1994",
            b"120",
            b"application/json;version=2;q=0.5, text/*",
            b"100m",
            b"Host: a\nCookie: b\nX_Forwarded-For: 1\nX-A: /x?y",
        ],
        [*ODD, b"q=", b"max-age=", b"timeout=", b"1e999", b"GMT", b"99999999999", b"Host", b"Authorization: "],
    ),
    "trace": Target(
        texts.attack_trace,
        [
            b"tracestate: a=1 , b=2\ntracestate: c@d=3",
            b"b3: " + b"1" * 32 + b"-" + b"2" * 16 + b"-1",
            b"X-B3-TraceId: " + b"a" * 16 + b"\nX-B3-SpanId: " + b"b" * 16 + b"\nx-b3-sampled: true",
            b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01",
            b"abc.DEF/1+2=3",
        ],
        [*ODD, b"tracestate: ", b"b3: ", b"x-b3-flags: 1\n", b"01-", b"ff-", b"-01-more", b"a=" + b"x" * 300],
    ),
    "paths": Target(
        texts.attack_paths,
        [
            b"/a/./b/%2e%2e/%7euser/%c3%a9",
            b"//a//b/..",
            b"/a%2Fb;c=d",
            b"http://a.test:80/x?y#z",
            b"[::1%25lo]:80",
            b"a.test.:65535",
            b"user@host",
            b"a=1&drop=2&b=%20;c&&d",
            b"*",
            b"/%",
        ],
        [*ODD, b"..", b"%2e", b"%2F", b"%00", b"%5C", b"//", b"/./", b"?", b"#", b"@", b"[", b"]", b"&drop=", b"xn--"],
    ),
    "config": Target(
        documents.attack_config,
        [templates.text(name).encode() for name in ("full", "minimal", "canary", "tls")],
        [
            *ODD,
            *_json(
                "[", "]", "{", "}", "[[routes]]\n", "[services.a]\n", "1e999", "nan", "true", '""', "1979-05-27", "'''"
            ),
        ],
    ),
    "json": Target(
        documents.attack_json,
        _json(
            '{"a":[{"b":1,"id":2}],"secret":{"x":1},"old":null,"from":1.5e3,"b c":[true,"\\ud800"]}',
            '[{"secret":1},[],{}]',
            '"\\u0000\\n"',
            "-0.0",
            "1" * 30,
            '{"a":{"a":{"a":1}}}',
        ),
        [*ODD, *_json("[", "]", "{", "}", '"secret":', "\\u", "\\ud800", "NaN", "Infinity", "1e400", "true", '"a":')],
    ),
    "json-path": Target(
        documents.attack_json_path,
        _json("$.items[*].id", "$['a b'][0]", "$..updated", '$..["x\\"y"]', "$.*.*"),
        [*ODD, *_json("$", ".", "..", "[", "]", "*", "'", '"', "\\", "0", "999999999")],
    ),
    "tokens": Target(
        documents.attack_tokens,
        [
            b"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJtZSIsImF1ZCI6InlvdSIsImV4cCI6MWUxMH0.AAAA",
            *_json(
                '{"iss":"me","aud":["you"],"exp":1900000000,"sub":"x","nbf":1,"scope":"a b","roles":["r"]}',
                '{"active":true,"sub":"a","exp":1900000000,"client_id":"b","scope":"c"}',
                "ann:$2b$12$" + "a" * 53 + "\n# none\n",
            ),
        ],
        [*ODD, b".", b"eyJ", *_json('"exp":', "1e999", "true", "null", "[", "{", '"crit":[]', '"aud":', '"active":')],
    ),
    "keys": Target(
        documents.attack_keys,
        [
            *_json(
                '{"keys":[{"kty":"oct","k":"'
                + "A" * 43
                + '","kid":"a"},{"kty":"EC","crv":"P-256","x":"'
                + "A" * 43
                + '","y":"'
                + "A" * 43
                + '"}]}',
                '{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","use":"sig","alg":"EdDSA"}',
                '{"keys":[{"kty":"RSA","n":"' + "q" * 342 + '","e":"AQAB","key_ops":["verify"]}]}',
                "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
                "-----END PUBLIC KEY-----\n",
            ),
        ],
        [
            *ODD,
            *_json(
                '"kty":', '"alg":', '"use":', "null", "[]", "{}", '"crv":"P-521"', '"e":', "-----BEGIN", "CERTIFICATE"
            ),
        ],
    ),
    "login": Target(
        documents.attack_login,
        _json(
            '{"issuer":"https://a.test","authorization_endpoint":"https://a.test/a","token_endpoint":"https://a.test/t",'
            '"jwks_uri":"https://a.test/k","response_types_supported":["code"]}',
            '{"access_token":"a","token_type":"bearer","expires_in":3600,"id_token":"x.y.z"}',
            '{"sub":"me","email":"x"}',
            "code=a&state=b&iss=c",
            "/a?b=1",
            "//evil.test",
        ),
        [*ODD, *_json("[", "{", "null", "https://", "[::1", "//", "/\\", "&", "code=", '"sub":', "1e99", "<script>")],
    ),
    "messages": Target(
        documents.attack_messages,
        documents.message_seeds(),
        [*ODD, b"\x92", b"\x81\xa4type", b"\xa4type", b"\xdf\xff\xff\xff\xff", b"\0\0\0\1", documents.CUT],
    ),
    "through-requests": Target(through.attack_requests, through.REQUESTS, through.WORDS),
    "through-proxy": Target(through.attack_proxy_requests, through.REQUESTS, through.WORDS),
    "through-answers": Target(through.attack_answers, through.ANSWERS, through.ANSWER_WORDS),
}
