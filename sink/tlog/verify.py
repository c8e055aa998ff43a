#!/usr/bin/env python3
"""Verify a mailkeep archive, or a proof that a message is in one, without mailkeep.

    verify.py archive DIR            the whole archive in a directory
    verify.py proof BUNDLE [EML]     a proof, and the message that it is about

It needs Python 3.8 and the openssl command (1.1.1 or later), and nothing of what
it verifies. FORMAT.md beside it specifies the formats. Bodies are compared as they
are stored with the hashes in their leaves, whatever their codec and cipher; it does
not look into them. A proof compares a message itself.

Options:
    --vkey KEY|FILE   the public key that you hold of the archive: without it the
                      one in the archive or bundle is believed
    --checkpoint FILE a checkpoint that you were given earlier: the archive must
                      still contain what it speaks of (may be repeated)
    --tsa-ca FILE     certificates, PEM, of who vouches for the time stamps
    --witness KEY     public key of a witness whose cosignatures must be good
    --quick           verify the signatures of the last checkpoints only

It exits with 0 if all is well, 1 if something was found, and 2 if it could not
look. Each finding is one line that begins with FOUND.
"""

import argparse
import base64
import glob
import hashlib
import hmac
import json
import os
import re
import struct
import subprocess
import sys
import tempfile

HEADER, LEAF, TAIL = 232, 224, 16
SEAL, OPEN = 0x7F, 0x7E
MAX_BODY = 64 << 20
findings = 0


def found(where, what):
    global findings
    findings += 1
    print("FOUND in %s: %s" % (where, what))


def note(text):
    print("note: " + text)


def read(path):
    with open(path, "rb") as f:
        return f.read()


# CRC-32C, Castagnoli, bit-reflected.


def crc_table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = (n >> 1) ^ (0x82F63B78 if n & 1 else 0)
        table.append(n)
    return table


CRC = crc_table()


def crc32c(data):
    c = 0xFFFFFFFF
    for b in data:
        c = CRC[(c ^ b) & 0xFF] ^ (c >> 8)
    return c ^ 0xFFFFFFFF


# The Merkle tree of RFC 6962 section 2.1.


def leaf_hash(leaf):
    return hashlib.sha256(b"\0" + leaf).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


class Tree:
    """The right edge of a tree: the roots of its complete subtrees."""

    def __init__(self):
        self.size, self.peaks = 0, []

    def add(self, h):
        n = self.size
        while n & 1:
            h = node_hash(self.peaks.pop(), h)
            n >>= 1
        self.peaks.append(h)
        self.size += 1

    def root(self):
        if not self.peaks:
            return hashlib.sha256(b"").digest()
        r = self.peaks[-1]
        for p in reversed(self.peaks[:-1]):
            r = node_hash(p, r)
        return r


def root_from_path(index, size, leaf, path):
    """The root to which an inclusion proof leads (RFC 9162 section 2.1.3.2)."""
    if index >= size:
        return None
    fn, sn, r = index, size - 1, leaf
    for p in path:
        if sn == 0:
            return None
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while fn & 1 == 0 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    return r if sn == 0 else None


# Signed notes (c2sp.org/signed-note), checkpoints and cosignatures.


class Key:
    def __init__(self, vkey, name=None):
        parts = vkey.strip().split("+", 2)
        if len(parts) != 3:
            raise ValueError("not a public key: %r" % vkey[:80])
        raw = base64.b64decode(parts[2], validate=True)
        if len(raw) != 33 or raw[0] not in (1, 4):
            raise ValueError("not an Ed25519 public key: %r" % vkey[:80])
        self.alg, self.public = raw[0], raw[1:]
        if self.id_for(parts[0]) != bytes.fromhex(parts[1]):
            raise ValueError("the public key does not match its hash: %r" % vkey[:80])
        self.name = name or parts[0]
        self.id = self.id_for(self.name)

    def id_for(self, name):
        return hashlib.sha256(name.encode() + b"\n" + bytes([self.alg]) + self.public).digest()[:4]

    def verify(self, text, signature):
        """Ed25519, by openssl."""
        if self.alg == 4:
            if len(signature) != 72:
                return False
            text = b"cosignature/v1\ntime %d\n" % struct.unpack(">Q", signature[:8]) + text
            signature = signature[8:]
        if len(signature) != 64:
            return False
        der = bytes.fromhex("302a300506032b6570032100") + self.public
        with tempfile.TemporaryDirectory() as tmp:
            names = [os.path.join(tmp, n) for n in ("key", "sig", "text")]
            for name, data in zip(names, (der, signature, text)):
                with open(name, "wb") as f:
                    f.write(data)
            done = openssl("pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", names[0],
                           "-rawin", "-in", names[2], "-sigfile", names[1])
        return done.returncode == 0


def openssl(*args):
    try:
        return subprocess.run(["openssl"] + list(args), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except FileNotFoundError:
        sys.exit("verify.py: the openssl command is needed and was not found")


class Note:
    def __init__(self, signed):
        text, gap, rest = signed.rpartition(b"\n\n")
        if not gap:
            raise ValueError("not a signed note")
        self.text, self.signatures = text + b"\n", []
        for line in rest.decode().splitlines():
            m = re.fullmatch("\u2014 (\\S+) (\\S+)", line)
            if not m:
                raise ValueError("not a signature line: %r" % line[:80])
            raw = base64.b64decode(m.group(2), validate=True)
            self.signatures.append((m.group(1), raw[:4], raw[4:]))

    def signed_by(self, keys, check=True):
        """The index of the last key that signed; a bad signature is an error."""
        by = None
        for i, k in enumerate(keys):
            for name, key_id, signature in self.signatures:
                if name != k.name or key_id != k.id:
                    continue
                if check and not k.verify(self.text, signature):
                    raise ValueError("the signature of %s is wrong" % k.name)
                by = i
        if by is None:
            raise ValueError("it is not signed by the key that is known")
        return by


class Checkpoint:
    def __init__(self, signed):
        self.note = Note(signed)
        lines = self.note.text.decode().split("\n")
        if len(lines) < 4 or not re.fullmatch("0|[1-9][0-9]*", lines[1]):
            raise ValueError("not a checkpoint")
        self.origin, self.size = lines[0], int(lines[1])
        self.root = base64.b64decode(lines[2], validate=True)
        if len(self.root) != 32:
            raise ValueError("not a checkpoint")


def archive_keys(directory, archive):
    """The keys that the archive says it has had, the first one first."""
    published = Key(read(os.path.join(directory, "checkpoint.vkey")).decode().splitlines()[0], archive)
    keys = []
    for n in range(1, 10000):
        path = os.path.join(directory, "keychanges", "%04d" % n)
        if not os.path.exists(path):
            break
        change = Note(read(path))
        lines = change.text.decode().splitlines()
        if lines[:2] != ["mailkeep key change", archive] or not (lines[2].startswith("old ") and lines[3].startswith("new ")):
            raise ValueError("%s is not a change of keys" % path)
        pair = [Key(lines[2][4:]), Key(lines[3][4:])]
        for k in pair:
            change.signed_by([k])
        if keys and keys[-1].public != pair[0].public:
            raise ValueError("%s is not from the key before" % path)
        keys = keys or pair[:1]
        keys.append(pair[1])
    if not keys:
        return [published]
    if published.public not in (keys[-1].public, keys[-2].public):
        raise ValueError("the published key is not the one of the last change")
    return keys


def keys_for(keys, origin):
    out = []
    for k in keys:
        c = object.__new__(Key)
        c.alg, c.public, c.name = k.alg, k.public, origin
        c.id = c.id_for(origin)
        out.append(c)
    return out


# Ledger.


def frames(path, name):
    """The frames of a segment: (offset, header, body). Behind them, the tail."""
    size = os.path.getsize(path)
    with open(path, "rb") as f:
        off = 0
        while off < size:
            header = f.read(HEADER)
            if len(header) < HEADER or header[:4] != b"MAR1":
                raise ValueError("offset %d: no record begins here" % off)
            if struct.unpack(">II", header[LEAF:]) != (crc32c(header[:LEAF]), 0):
                raise ValueError("offset %d: the header does not match its checksum" % off)
            frame, body = struct.unpack(">II", header[8:16])
            if body > MAX_BODY or frame != (HEADER + body + 7) // 8 * 8 or off + frame > size:
                raise ValueError("offset %d: the lengths are wrong" % off)
            rest = f.read(frame - HEADER)
            if len(rest) != frame - HEADER or rest[body:].strip(b"\0"):
                raise ValueError("offset %d: the padding is not zero" % off)
            yield off, header, rest[:body]
            off += frame
            if header[4] == SEAL:
                tail = f.read()
                if len(tail) != TAIL or tail[8:] != b"MARSEAL1" or struct.unpack(">Q", tail[:8])[0] != off - frame:
                    raise ValueError("the file does not end with its seal")
                return
        if not name.endswith(".open"):
            raise ValueError("the segment ends without its seal")


def check_seal(body, size, root, digest):
    """The content of a seal, which is always stored."""
    (meta,) = struct.unpack(">I", body[:4])
    content = body[4 + meta:]
    (n,) = struct.unpack(">Q", content[:8])
    rest = content[8 + 8 * n:]
    if rest[:32] != digest:
        raise ValueError("the seal is of other octets")
    if struct.unpack(">Q", rest[32:40])[0] != size or rest[40:72] != root:
        raise ValueError("the seal has another root")


class Ledger:
    """Reads one ledger and tells of each size that somebody has asked for."""

    def __init__(self, directory, stream):
        self.directory, self.stream = directory, stream
        self.tree, self.prev, self.time = Tree(), bytes(32), 0

    def segments(self):
        names = [n for n in os.listdir(self.directory) if re.fullmatch("[0-9a-f]{16}\\.seg(\\.open)?", n)]
        return sorted(n for n in names if not (n.endswith(".open") and n[:-5] in names))

    def run(self, at_size):
        for number, name in enumerate(self.segments(), 1):
            where = os.path.join(self.directory, name)
            try:
                if int(name[:16], 16) != self.tree.size:
                    raise ValueError("it begins with record %d, but %d is due" % (int(name[:16], 16), self.tree.size))
                self.segment(where, name, number, at_size)
            except ValueError as e:
                found(where, "record %d: %s" % (self.tree.size, e))
                return False
        return True

    def segment(self, path, name, number, at_size):
        digest = hashlib.sha256()
        for _, header, body in frames(path, name):
            self.record(header, body, number)
            if header[4] == SEAL:
                check_seal(body, self.tree.size, self.tree.root(), digest.digest())
            digest.update(header)
            digest.update(body)
            digest.update(bytes(-len(body) % 8))
            self.prev = leaf_hash(header[:LEAF])
            self.tree.add(self.prev)
            at_size(self.tree)

    def record(self, header, body, number):
        seq, time = struct.unpack(">QQ", header[16:32])
        if seq != self.tree.size:
            raise ValueError("it has the number %d" % seq)
        if header[32:48] != self.stream:
            raise ValueError("it is of another ledger")
        if struct.unpack(">I", header[48:52])[0] != number:
            raise ValueError("it is of another segment")
        if header[192:224] != self.prev:
            raise ValueError("it does not continue the chain of leaf hashes")
        if time < self.time:
            raise ValueError("it is older than the one before")
        if hashlib.sha256(body).digest() != header[128:160]:
            raise ValueError("the body does not match its SHA-256")
        self.time = time


# What was signed.


def history(directory):
    """The entries of the history of checkpoints: (file, signed note)."""
    for path in sorted(glob.glob(os.path.join(glob.escape(directory), "checkpoints", "[0-9]*"))):
        data = read(path)
        while data:
            m = re.match(rb"time [^\n]+\n((?:[^\n]+\n)+\n(?:[^\n]+\n)+)\n", data)
            if not m:
                note("%s ends within a checkpoint, which a crash kept from being signed" % path)
                break
            yield path, m.group(1)
            data = data[m.end():]


def stamps(directory, checkpoint, args):
    """The time stamps of an anchor."""
    for path in sorted(glob.glob(os.path.join(glob.escape(directory), "*.tsr"))):
        check_stamp(path, checkpoint, path[:-4] + ".pem", args)


def check_stamp(response, checkpoint, chain, args):
    if not args.tsa_ca:
        note("%s was not verified: name its authority with --tsa-ca" % response)
        return
    more = ["-untrusted", chain] if os.path.exists(chain) else []
    done = openssl("ts", "-verify", "-in", response, "-data", checkpoint, "-CAfile", args.tsa_ca, *more)
    if done.returncode != 0:
        found(response, "the time stamp is not good: " + done.stdout.decode(errors="replace").strip().splitlines()[-1])


def anchors(directory, partition, keys, args):
    """Checkpoints of a log that others vouch for: (where, checkpoint)."""
    below = ["anchors", "%04d" % partition] if partition else ["anchors"]
    witnesses = [Key(w) for w in args.witness]
    for path in sorted(glob.glob(os.path.join(glob.escape(directory), *below, "*", "checkpoint"))):
        try:
            c = Checkpoint(read(path))
            c.note.signed_by(keys)
            yield path, c
            stamps(os.path.dirname(path), path, args)
            cosigned = os.path.join(os.path.dirname(path), "cosigned")
            if witnesses and os.path.exists(cosigned):
                Note(read(cosigned)).signed_by(witnesses)
                if not read(cosigned).startswith(read(path)):
                    found(cosigned, "it is another checkpoint")
        except ValueError as e:
            found(path, e)


def signed_heads(directory, origin, keys, args):
    """All (size, root, where) that were ever signed of a log, by size."""
    last, key, heads = -1, 0, []
    entries = list(history(directory))
    for i, (path, signed) in enumerate(entries):
        try:
            c = Checkpoint(signed)
            k = c.note.signed_by(keys, check=not args.quick or i == len(entries) - 1)
            if c.origin != origin:
                found(path, "a checkpoint is of the log %r" % c.origin)
                continue
        except ValueError as e:
            found(path, "checkpoint %d: %s" % (i + 1, e))
            continue
        if c.size < last:
            found(path, "a checkpoint of %d records follows one of %d" % (c.size, last))
        if k < key:
            found(path, "the checkpoint of %d records is signed by a key that was changed before" % c.size)
        last, key = max(last, c.size), max(key, k)
        heads.append((c.size, c.root, path))
    published = os.path.join(directory, "checkpoint")
    if os.path.exists(published):
        try:
            c = Checkpoint(read(published))
            c.note.signed_by(keys)
            heads.append((c.size, c.root, published))
            if c.size > last:
                found(published, "the history of checkpoints ends before it")
        except ValueError as e:
            found(published, e)
    elif entries:
        note("the last checkpoint is not published")
    return heads


def trusted(directory, archive, args):
    """The keys that are believed: those that the one given vouches for."""
    keys = archive_keys(directory, archive)
    if not args.vkey:
        note("the public key of the archive itself is believed: give the one that you hold with --vkey")
        return keys
    mine = given_key(args)
    if mine.public not in [k.public for k in keys]:
        found("checkpoint.vkey", "the archive is signed with another key than the one that you hold")
        return [mine]
    return keys


def given_key(args):
    return Key(read(args.vkey).decode().splitlines()[0] if os.path.exists(args.vkey) else args.vkey)


def verify_archive(args):
    identity = json.loads(read(os.path.join(args.path, "ARCHIVE")))
    archive = identity["archive"]
    keys = trusted(args.path, archive, args)
    held = [(path, Checkpoint(read(path))) for path in args.checkpoint]
    for path, c in held:
        c.note.signed_by(keys_for(keys, c.origin))
    for partition in range(identity["partitions"]):
        origin = "%s/%d" % (archive, partition)
        vouched = list(anchors(args.path, partition, keys_for(keys, origin), args))
        heads = signed_heads(os.path.join(args.path, "tlog", "%04d" % partition), origin, keys_for(keys, origin), args)
        heads += [(c.size, c.root, path) for path, c in held + vouched if c.origin == origin]
        verify_ledger(args.path, archive, partition, heads)


def verify_ledger(path, archive, partition, heads):
    raw = bytes.fromhex(archive.replace("-", ""))
    stream = bytearray(hashlib.sha256(b"mar1/stream" + raw + struct.pack(">H", partition)).digest()[:16])
    stream[6], stream[8] = stream[6] & 0x0F | 0x80, stream[8] & 0x3F | 0x80
    want = {}
    for size, root, where in heads:
        want.setdefault(size, []).append((root, where))
    ledger = Ledger(os.path.join(path, "ledger", "%04d" % partition), bytes(stream))

    def compare(tree):
        for root, where in want.pop(tree.size, []):
            if root != tree.root():
                found(where, "the first %d records have another root than was signed" % tree.size)

    compare(ledger.tree)
    if ledger.run(compare) and want:
        size = max(want)
        found(want[size][0][1], "%d records were signed, but the ledger has %d: it lost its end, or was rolled back" % (size, ledger.tree.size))
    print("partition %d: %d records, %d signed heads, root %s" % (partition, ledger.tree.size, len(heads), base64.b64encode(ledger.tree.root()).decode()))


def verify_proof(args):
    bundle = json.loads(read(args.path))
    if bundle.get("format") != "mailkeep-proof/1":
        raise ValueError("%s is not a proof of mailkeep" % args.path)
    leaf, opening = base64.b64decode(bundle["leaf"]), bundle["opening"]
    digest = bytes.fromhex(opening["digest"])
    if len(leaf) != LEAF:
        raise ValueError("the leaf has %d octets" % len(leaf))
    if args.message:
        raw = read(args.message)
        if hashlib.sha256(raw).digest() != digest or len(raw) != opening["size"]:
            found(args.message, "it is not the message that the proof is about")
    else:
        note("no message was given: the proof is about the one with the SHA-256 %s" % opening["digest"])
    text = b"mar1/cmt" + digest + struct.pack(">Q", opening["size"])
    if hmac.new(bytes.fromhex(opening["key"]), text, hashlib.sha256).digest() != leaf[96:128]:
        found(args.path, "the record commits to another message")
    if args.vkey:
        key = given_key(args)
    else:
        key = Key(bundle["vkey"])
        note("the public key in the proof is believed: give the one that you hold with --vkey")
    check_path(args, bundle, leaf, keys_for([key], bundle["origin"]))


def check_path(args, bundle, leaf, keys):
    head, _, signed = bundle["proof"].partition("\n\n")
    lines = head.split("\n")
    if lines[0] != "c2sp.org/tlog-proof@v1":
        raise ValueError("not a proof by c2sp.org/tlog-proof")
    lines = [line for line in lines[1:] if not line.startswith("extra ")]
    index = int(lines[0][len("index "):])
    path = [base64.b64decode(line, validate=True) for line in lines[1:]]
    c = Checkpoint(signed.encode())
    try:
        c.note.signed_by(keys)
    except ValueError as e:
        found(args.path, e)
    if c.origin != bundle["origin"] or struct.unpack(">Q", leaf[16:24])[0] != index or not leaf[7] & 2:
        found(args.path, "the proof is of another record")
    if "%s-%d" % (c.origin.rpartition("/")[2], struct.unpack(">Q", leaf[72:80])[0]) != bundle["id"]:
        found(args.path, "the proof is of another message")
    if root_from_path(index, c.size, leaf_hash(leaf), path) != c.root:
        found(args.path, "the proof does not lead from the record to the root of the checkpoint")
    with tempfile.TemporaryDirectory() as tmp:
        checkpoint = os.path.join(tmp, "checkpoint")
        files = [(checkpoint, signed.encode())]
        for i, s in enumerate(bundle.get("timestamps") or []):
            base = os.path.join(tmp, str(i))
            files += [(base + ".tsr", base64.b64decode(s["response"])), (base + ".pem", s["chain"].encode())]
        for name, data in files:
            with open(name, "wb") as f:
                f.write(data)
        stamps(tmp, checkpoint, args)
    print("record %s is in the checkpoint of %d records of %s" % (bundle["id"], c.size, c.origin))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=["archive", "proof"])
    p.add_argument("path")
    p.add_argument("message", nargs="?")
    p.add_argument("--vkey")
    p.add_argument("--checkpoint", action="append", default=[])
    p.add_argument("--tsa-ca")
    p.add_argument("--witness", action="append", default=[])
    p.add_argument("--quick", action="store_true")
    args = p.parse_args()
    try:
        verify_archive(args) if args.what == "archive" else verify_proof(args)
    except (OSError, ValueError, KeyError, struct.error) as e:
        print("verify.py: cannot go on: %s" % e, file=sys.stderr)
        return 2 if not findings else 1
    print("%d findings" % findings if findings else "all is well")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
