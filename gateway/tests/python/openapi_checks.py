"""A check of Schemathesis: a request that the document allows is never refused for its form."""

import schemathesis

# The codes that blame the form of a request, and not the state of the clinic.
FORM = {"malformed", "invalid_id", "invalid_value"}
# Parts of `detail` for forms that a JSON Schema cannot describe, or that generators of clients
# would understand wrongly.
EXPLAINED = (
    "this is not a cursor of this list",  # cursors are opaque
    "an export has all",  # a cursor beside `format=csv`
    "Valid-Until is not a time",  # 31 February
    "a time is",  # likewise
    "a list ends after it begins",
    "a list is of a ticket or of an appointment",
    "a subject has 1 to 128 bytes",  # a schema counts characters
    "a key has 1 to 100 bytes",
    "time_zone: an IANA name",
    "a logo is a PNG",
    "a number of 1 to 99999",  # the form of a key depends on the table beside it
    "characters without spaces and commas",  # likewise
    'expected {"description"',  # likewise of an entry
    'expected {"gmf"',
    'expected {"leaf"',
    "no control characters",  # of every text that people read, as docs/api.md says
    "check_in has a code of",  # with any separators between the digits
    "an https:// address",  # a pattern is not a URL parser
    "Content-Digest is not",  # Schemathesis sends an empty header, which the pattern excludes
    "If-Match is not",  # likewise
    "If-Match and the body name two editions",  # two places that must agree
    # One of two fields. With `anyOf`, generated clients would lose the fields.
    'expected {"appointment"',
    'expected {"link"}',
    'expected {"event"}',
    "a fact has a version or updated_at",
)


@schemathesis.check
def form_is_described(ctx, response, case):
    """Fails if a generated request that fits its schema is refused for its form."""
    if not (case.meta and case.meta.generation.mode.is_positive) or response.status_code < 400:
        return
    problem = response.json()
    detail = problem.get("detail", "")
    if problem.get("code") in FORM and not any(text in detail for text in EXPLAINED):
        raise AssertionError(f"{case.method} {case.path}: {problem['code']} {detail}")
