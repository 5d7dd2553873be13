"""Section 4 of the contract, steps 2 to 5, written from the contract alone.

Reads {"extensions": [text], "requests": [{"extension": n, "context": text}]} and writes, for each
extension, whether it is quarantined, and for each request its refusal or its outcome.
"""

import decimal
import hashlib
import json
import re
import sys

sys.setrecursionlimit(10_000)
EXACT = decimal.Context(prec=2000, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)


class Number:
    def __init__(self, text):
        self.text = text
        self.exact = None
        try:
            exact = EXACT.create_decimal(text)
        except decimal.InvalidOperation:
            return
        digits = "".join(map(str, exact.as_tuple().digits)).strip("0")
        if not digits:
            self.exact = decimal.Decimal(0)
            return
        last = exact.adjusted() - len(digits) + 1
        if len(digits) <= 64 and exact.adjusted() < 308 and last >= -1000:
            self.exact = exact

    def shortest(self):
        if self.exact == 0:
            return "0"
        return format(self.exact.normalize(EXACT), "f")


class Object:
    def __init__(self, pairs):
        self.pairs = pairs

    def get(self, name):
        for key, value in self.pairs:
            if key == name:
                return value
        return None

    def twice(self):
        keys = [key for key, _ in self.pairs]
        return next((key for key in keys if keys.count(key) > 1), None)


def read(text):
    return json.loads(
        text, parse_int=Number, parse_float=Number, object_pairs_hook=Object
    )


def is_text(value):
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def comparable(value):
    """What can be compared: its kind and its value; None for all else."""
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, str) and is_text(value):
        return ("text", value)
    if isinstance(value, Number) and value.exact is not None:
        return ("number", value.exact)
    return None


def context_of(text):
    """The context, or the field that makes it unusable."""
    given = read(text)
    if not isinstance(given, Object):
        return None, "context"
    context = {}
    for key, value in given.pairs:
        if not is_text(key):
            continue
        identity = key in ("tenant_id", "trace_id")
        if identity and value is not None and comparable(value) is None:
            return None, "context." + key
    # A key that is no text is nobody's, however often it is there.
    known = Object([pair for pair in given.pairs if is_text(pair[0])])
    if known.twice() is not None:
        # Of several such keys the first in the order of their bytes is named.
        keys = [key for key, _ in known.pairs]
        return None, "context." + min(
            (key for key in keys if keys.count(key) > 1), key=str.encode
        )
    for key, value in known.pairs:
        if comparable(value) is not None:
            context[key] = value
    return context, None


def has_repeated_or_odd_keys(value):
    if isinstance(value, Object):
        odd = value.twice() is not None or not all(is_text(k) for k, _ in value.pairs)
        return odd or any(has_repeated_or_odd_keys(v) for _, v in value.pairs)
    return isinstance(value, list) and any(map(has_repeated_or_odd_keys, value))


def sound(version):
    rules, rollout = version.get("routing_rules"), version.get("rollout")
    if has_repeated_or_odd_keys(version):
        return False
    for _, rule in rules.pairs if rules else []:
        wanted = rule if isinstance(rule, list) else [rule]
        if any(comparable(value) is None for value in wanted):
            return False
    if rollout:
        percent = rollout.get("percent")
        if not isinstance(percent, Number) or percent.exact is None:
            return False
        if not 0 <= percent.exact <= 100:
            return False
    return True


def matches(rules, context):
    for key, rule in rules.pairs if rules else []:
        wanted = rule if isinstance(rule, list) else [rule]
        given = comparable(context.get(key))
        if given is None or given not in [comparable(value) for value in wanted]:
            return False
    return True


def bucket_of(rollout, extension, context):
    value = context.get(rollout.get("by"))
    if value is None:
        return None
    if isinstance(value, bool):
        text = "true" if value else "false"
    else:
        text = value.shortest() if isinstance(value, Number) else value
    salt = rollout.get("salt")
    salt = extension if salt is None else salt
    digest = hashlib.sha256(f"{salt}:{text}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % 10_000


def newest(name):
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def choose(extension, context):
    """The version that serves, and each rollout's bucket by version."""
    id = extension.get("id")
    tiers, buckets = {0: [], 1: [], 2: []}, {}
    versions = [(extension, extension.get("version"), True)]
    for row in extension.get("versions"):
        conditional = bool(row.get("routing_rules") and row.get("routing_rules").pairs)
        conditional = conditional or row.get("rollout") is not None
        enabled = conditional if row.get("enabled") is None else row.get("enabled")
        versions.append((row, row.get("version"), enabled))
    for version, name, enabled in versions:
        rules, rollout = version.get("routing_rules"), version.get("rollout")
        takes_part = enabled and matches(rules, context)
        if rollout:
            bucket = bucket_of(rollout, id, context)
            buckets[name] = bucket
            share = rollout.get("percent").exact * 100
            takes_part = takes_part and bucket is not None and bucket < share
        if not takes_part:
            continue
        priority = version.get("priority")
        priority = int(priority.exact) if priority else 0
        keys = len(rules.pairs) if rules else 0
        if keys:
            tiers[0].append((priority, keys, newest(name), name))
        elif rollout:
            tiers[1].append((priority, newest(name), name))
        else:
            tiers[2].append((newest(name), name))
    chosen = next((max(tier)[-1] for tier in tiers.values() if tier), None)
    return chosen, buckets


def identity(context, key):
    """What an extension is told, as JSON."""
    value = context.get(key)
    if isinstance(value, Number):
        return value.text
    return json.dumps(value)


def outcome(extension, text):
    context, field = context_of(text)
    if field is not None:
        return {"refused": field}
    version, buckets = choose(extension, context)
    return {
        "version": version,
        "buckets": buckets,
        "trace_id": identity(context, "trace_id"),
        "tenant_id": identity(context, "tenant_id"),
    }


def main():
    asked = json.load(sys.stdin)
    extensions = [read(text) for text in asked["extensions"]]
    quarantined, served = [], []
    for extension in extensions:
        rows = [row for row in extension.get("versions") if sound(row)]
        # A faulty row is left out alone; a fault of the extension itself takes it out.
        own = Object([pair for pair in extension.pairs if pair[0] != "versions"])
        quarantined.append(not sound(own))
        served.append(Object(own.pairs + [("versions", rows)]))
    outcomes = [
        None
        if quarantined[request["extension"]]
        else outcome(served[request["extension"]], request["context"])
        for request in asked["requests"]
    ]
    json.dump({"quarantined": quarantined, "outcomes": outcomes}, sys.stdout)


main()
