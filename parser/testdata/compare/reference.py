"""Reads mails with Python's email package, for make compare and the benchmarks.

reference.py DIR N          one line per mail 0.eml .. N-1.eml of DIR: from, to,
                            subject, date, message-id, leaves, attachment octets
reference.py --time DIR N R reads them R times and prints the CPU seconds
"""
import email, email.header, email.utils, re, sys, time

TEXTS = False  # whether texts are decoded to characters, as a record holds them


def text(value):
    """The words of a header value, decoded; octets above 127 as they come."""
    if value is None:
        return ""
    out = []
    try:
        chunks = email.header.decode_header(value)
    except (ValueError, LookupError, email.errors.HeaderParseError):
        return str(value)
    for chunk, charset in chunks:
        if isinstance(chunk, bytes):
            try:
                chunk = chunk.decode("utf-8" if charset in (None, "unknown-8bit", "us-ascii") else charset)
            except (LookupError, UnicodeDecodeError, ValueError):
                chunk = chunk.decode("windows-1252", "replace")
        out.append(chunk)
    return "".join(out)


def addresses(msg, name):
    values = [text(v) if isinstance(v, email.header.Header) else v for v in msg.get_all(name, [])]
    return ",".join(a for _, a in email.utils.getaddresses(values) if "@" in a)


def date(msg):
    value = msg.get("date")
    parsed = email.utils.parsedate_tz(str(value)) if value is not None else None
    try:
        return str(email.utils.mktime_tz(parsed)) if parsed else ""
    except (ValueError, OverflowError):
        return ""


def message_id(msg):
    value = str(msg.get("message-id", ""))
    inside = re.search(r"<([^>]*)>", value)
    return inside.group(1) if inside else value.split()[0] if value.split() else ""


def leaves(part):
    if part.get_content_maintype() == "message" and part.get_content_type() not in ("message/rfc822", "message/global", "message/news"):
        yield part
    elif part.is_multipart():
        for kid in part.get_payload():
            yield from leaves(kid)
    else:
        yield part


def record(raw):
    msg = email.message_from_bytes(raw)
    count = octets = 0
    for leaf in leaves(msg):
        count += 1
        body = leaf.get_payload(decode=True)
        if TEXTS and isinstance(body, bytes) and leaf.get_content_maintype() == "text":
            body.decode(leaf.get_content_charset("utf-8"), "replace")
        if isinstance(body, bytes) and leaf.get_content_maintype() not in ("text", "message", "multipart"):
            octets += len(body)
    return addresses(msg, "from"), addresses(msg, "to"), text(msg.get("subject")), date(msg), message_id(msg), count, octets


def main(argv):
    global TEXTS
    TEXTS = timed = argv[1] == "--time"
    dir, n = argv[1 + timed], int(argv[2 + timed])
    mails = []
    for i in range(n):
        with open(f"{dir}/{i}.eml", "rb") as f:
            mails.append(f.read())
    if timed:
        start = time.process_time()
        for _ in range(int(argv[4])):
            for raw in mails:
                record(raw)
        print(time.process_time() - start)
        return
    out = sys.stdout.buffer
    for raw in mails:
        try:
            fields = record(raw)
        except Exception as e:  # what Python refuses counts as no answer
            fields = ["!" + type(e).__name__] * 7
        line = "\t".join(re.sub(r"[\x00-\x1f\x7f]+", " ", str(f)) for f in fields)
        out.write(line.encode("utf-8", "replace") + b"\n")


main(sys.argv)
