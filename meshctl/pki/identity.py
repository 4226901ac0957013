"""Names of services as identities: SPIFFE IDs, and the DNS names by which a service is called within the mesh.

Pure text; knows no certificate. The forms are those of the SPIFFE-ID specification, of which this mesh uses one:
`spiffe://<trust domain>/service/<name>`. What has capitals in the wrong place or percent signs is no SPIFFE ID (§2).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from meshctl.model.names import check_label

SCHEME: Final = "spiffe"
# SPIFFE-ID §2.3: an identity that is longer need not be accepted by anybody.
_LONGEST: Final = 2048
# RFC 1035 §2.3.4, without the root's dot.
_LONGEST_HOST: Final = 253
_ID: Final = re.compile(r"spiffe://(?P<domain>[a-z0-9._-]{1,255})(?P<path>(?:/[A-Za-z0-9._-]+)*)", re.ASCII)
_SERVICE: Final = "/service/"


def spiffe_id(trust_domain: str, service: str) -> str:
    """The identity of a service: ("shop.mesh", "orders") → "spiffe://shop.mesh/service/orders"."""
    return f"{SCHEME}://{trust_domain}{_SERVICE}{service}"


def split_id(uri: str) -> tuple[str, str]:
    """Trust domain and path of a SPIFFE ID; the path is "" for the trust domain itself. Raises ValueError."""
    if not uri.startswith(f"{SCHEME}://"):
        raise ValueError("its scheme is not spiffe")
    found = _ID.fullmatch(uri) if len(uri) <= _LONGEST else None
    if found is None or {".", ".."} & set(found["path"].split("/")):
        raise ValueError("it is not in the form of a SPIFFE ID")
    return found["domain"], found["path"]


def service_of(uri: str, trust_domain: str) -> str:
    """The service that a SPIFFE ID names in this trust domain. Raises ValueError with the reason why it names none."""
    domain, path = split_id(uri)
    if domain != trust_domain:
        raise ValueError(f'its trust domain is "{domain}", not "{trust_domain}"')
    if not path:
        raise ValueError("it has no path: it names a trust domain and no service")
    if not path.startswith(_SERVICE):
        raise ValueError(f'its path "{path}" names no service')
    try:
        return check_label(path.removeprefix(_SERVICE))
    except ValueError:
        raise ValueError(f'its path "{path}" names no service') from None


# Every proxy asks for those of every service whenever one comes.
@lru_cache(maxsize=4096)
def mesh_names(service: str, trust_domain: str) -> tuple[str, ...]:
    """The host names that mean the service within the mesh: orders, orders.mesh, orders.shop.mesh."""
    names = dict.fromkeys((service, f"{service}.mesh", f"{service}.{trust_domain}"))
    return tuple(name for name in names if len(name) <= _LONGEST_HOST)
