"""Checking a sigstore signature: by a key, by a short-lived certificate of Fulcio, or by one of an ordinary authority.

The library ``cryptography`` is imported when the first such requirement is checked.

Source: cosign signature specification; specification D.7.
"""

from __future__ import annotations

from crio.core.image.digest import Digest
from crio.core.image.errors import BadDocument
from crio.core.image.identity import COSIGN_TYPE, identity_accepts, parse_claim
from crio.core.image.policy import SigstoreSigned
from crio.core.image.reference import Reference
from crio.core.image.sigstoreblob import PAYLOAD_TYPE, parse_sigstore_blob


def verify_sigstore(requirement: SigstoreSigned, asked: Reference, digest: Digest, signature: bytes) -> str | None:
    """None when ``signature`` satisfies the requirement for the image ``asked`` with manifest ``digest``, else what is wrong.

    :raises BadConfigFile: a key or authority of the policy cannot be read
    """
    from crio.host.pull.sigstorekeys import SignatureProblem, check_signer

    try:
        blob = parse_sigstore_blob(signature)
        if blob is None or blob.mime_type != PAYLOAD_TYPE:
            return "not a sigstore signature"
        check_signer(requirement, blob)
        # Only now is the payload known to be the signer's words.
        claim = parse_claim(blob.payload, COSIGN_TYPE)
    except (BadDocument, SignatureProblem) as error:
        return str(error)
    if not identity_accepts(requirement.identity, asked, claim.reference):
        return f"signature for identity {claim.reference!r} is not accepted"
    if claim.digest != digest:
        return f"signature for digest {claim.digest} does not match {digest}"
    return None
