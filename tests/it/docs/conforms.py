"""Prints where docs/asyncapi.json and reality differ.

usage: conforms.py ASYNCAPI GOLDEN_FOLDER EVENTS_FOLDER PAGE...

Requests and replies are those of the golden files, and of the pages' `nats req` examples, which a test
holds against the daemon. What stands for a value that differs from run to run is not looked at. Events
are the ones that the tests saw last, one of each kind; in CI all kinds have to be there.
"""

import json
import os
import pathlib
import re
import shlex
import sys

from jsonschema import Draft7Validator

MARK = "\u2026"
PREFIX = "beamline.registry."


def golden(folder):
    for path in sorted(pathlib.Path(folder).glob("*.json")):
        exchange = json.loads(path.read_text(encoding="utf-8"))
        request, reply = exchange["request"], exchange["reply"]
        yield path.name, request["subject"], request.get("payload"), reply["headers"], reply["body"]


def page(path):
    """Each command of a page with its first reply."""
    text = pathlib.Path(path).read_text(encoding="utf-8")
    for block in re.findall(r"```console\n(.*?)```", text, re.S):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, said = part.partition("\n")
            words = shlex.split(command)
            headers = dict(re.findall(r"^([A-Z][\w-]*): (.*)$", said.partition("{")[0], re.M))
            if words[:2] != ["nats", "req"] or "{" not in said:
                continue
            *_, subject, payload = [word for word in words[2:] if not word.startswith("-")]
            try:
                request = json.loads(payload) if payload.startswith("{") else None
            except ValueError:  # An example of a request that is refused.
                request = None
            reply, _ = json.JSONDecoder().raw_decode(said[said.index("{") :])
            yield f"{path}: {command}", subject, request, headers, reply


def verb(subject):
    tokens = subject.removeprefix(PREFIX).split(".")
    if tokens[0] in ("local", "as"):
        return tokens[2]
    return tokens[1] if tokens[0] == "all" else tokens[0]


def main(asyncapi, folder, events, *pages):
    document = json.load(open(asyncapi, encoding="utf-8"))
    schemas = {"components": document["components"]}
    seen = set()

    def faults(reference, value):
        schema = schemas | {"$ref": reference}
        for error in Draft7Validator(schema).iter_errors(value):
            if error.instance != MARK:
                yield f"{error.json_path} {error.message[:150]}"

    def payload(message):
        reference = message["$ref"].removeprefix("#/channels/").split("/")
        name = document["channels"][reference[0]]["messages"][reference[2]]["$ref"].split("/")[-1]
        return f"#/components/messages/{name}/payload"

    exchanges = list(golden(folder)) + [exchange for path in pages for exchange in page(path)]
    for origin, subject, request, headers, reply in exchanges:
        if not subject.startswith(PREFIX):
            continue
        seen.add(verb(subject))
        operation = document["operations"][verb(subject)]
        is_error = "Nats-Service-Error-Code" in headers
        if request is not None and not is_error:
            for fault in faults(payload(operation["messages"][0]), request):
                print(f"{origin}: request: {fault}")
        if "Beamline-Extension-Error" in headers:
            continue
        answers = operation["reply"]["messages"]
        answers = answers[-1:] if is_error else answers[:-1]
        found = [list(faults(payload(answer), reply)) for answer in answers]
        if all(found):
            print(f"{origin}: reply: {min(found, key=len)}")
    for channel in (name for name in document["channels"] if name.startswith("events.")):
        path = pathlib.Path(events, channel.removeprefix("events.") + ".json")
        if path.exists():
            (message,) = document["channels"][channel]["messages"]
            reference = {"$ref": f"#/channels/{channel}/messages/{message}"}
            for fault in faults(payload(reference), json.loads(path.read_text(encoding="utf-8"))):
                print(f"{channel}: event: {fault}")
        elif os.environ.get("CI"):
            print(f"{channel}: no test has seen one")
    operations = document["operations"].items()
    for name in {name for name, it in operations if it["action"] == "receive"} - seen:
        print(f"{name}: no example")


main(*sys.argv[1:])
