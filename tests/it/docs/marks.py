"""Prints what a JSON Schema marks in files: usage: marks.py SCHEMA FILE..."""

import json
import sys

from jsonschema.validators import validator_for

schema, *documents = ([path, json.load(open(path, encoding="utf-8"))] for path in sys.argv[1:])
validator = validator_for(schema[1])
validator.check_schema(schema[1])
for path, document in documents:
    for error in validator(schema[1]).iter_errors(document):
        print(error.json_path, error.message[:200], f"({path})")
