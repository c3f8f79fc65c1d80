"""Prints the CloudFormation that `sam deploy` would send for a SAM template.

cfn-lint on the SAM source lets a wrong runtime, architecture or log format pass; on what the translator makes of it, it does not.
"""

import json
import os
import sys

# boto3 asks for a region when the translator is loaded.
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

with open(sys.argv[1]) as source:
    template = yaml_parse(source.read())

# The translator wants what `sam package` leaves behind: the code on S3, not in a folder.
for resource in template["Resources"].values():
    if resource["Type"] == "AWS::Serverless::Function":
        resource["Properties"]["CodeUri"] = "s3://bucket/key"

values = {name: parameter.get("Default", "x") for name, parameter in template.get("Parameters", {}).items()}
print(json.dumps(Translator({}, Parser()).translate(template, values), indent=1, default=str))
