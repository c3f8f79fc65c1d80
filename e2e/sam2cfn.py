"""The CloudFormation that `sam deploy` would send for a SAM template, and what a stack with given parameters would hold.

cfn-lint on the SAM source lets a wrong runtime, architecture or log format pass; on what the translator makes of it, it does not.

    sam2cfn.py template.yaml [NAME=VALUE…]

prints what the translator makes of it. With parameters, what their conditions leave out is left out.
"""

import json
import logging
import os
import sys

# boto3 asks for a region when the translator is loaded.
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

PSEUDO = {
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::Region": "eu-west-1",
    "AWS::StackId": "arn:aws:cloudformation:eu-west-1:123456789012:stack/shop/5f3a1c2e-0b1d-11ef-9c3a-0a1b2c3d4e5f",
    "AWS::StackName": "shop",
    "AWS::URLSuffix": "amazonaws.com",
}
NOTHING = object()


def translate(source, parameters):
    """What the SAM translator makes of the text of a template."""
    template = yaml_parse(source)
    # The translator's remark about a feature toggle of AWS's own is nothing that a reader could act on.
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    # The translator wants what `sam package` leaves behind: the code on S3, not in a folder.
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/key"
    defaults = {name: parameter.get("Default", "x") for name, parameter in template.get("Parameters", {}).items()}
    translated = Translator({}, Parser()).translate(template, defaults | parameters)
    return json.loads(json.dumps(translated, default=str))


class Stack:
    """A template with its parameters given: which rules refuse them, which resources there are, and what stands in them."""

    def __init__(self, source, parameters):
        self.template, self.given = translate(source, parameters), parameters
        self.values = {}
        for name, parameter in self.template["Parameters"].items():
            value = str(parameters.get(name, parameter.get("Default", "x")))
            self.values[name] = value.split(",") if parameter["Type"] == "CommaDelimitedList" else value
        unknown = sorted(set(parameters) - set(self.values))
        if unknown:
            raise ValueError(f"the template has no parameter {unknown}")
        self.refusals = [
            assertion["AssertDescription"]
            for rule in self.template.get("Rules", {}).values()
            if self.holds(rule.get("RuleCondition", True))
            for assertion in rule["Assertions"]
            if not self.holds(assertion["Assert"])
        ]
        self.resources = self.kept("Resources")
        self.outputs = self.kept("Outputs")

    def kept(self, section):
        """The entries whose condition holds, with every Fn::If decided."""
        return {
            name: self.decided({key: value for key, value in entry.items() if key != "Condition"})
            for name, entry in self.template[section].items()
            if self.holds({"Condition": entry["Condition"]} if "Condition" in entry else True)
        }

    def holds(self, condition):
        if isinstance(condition, bool):
            return condition
        [(name, value)] = condition.items()
        if name == "Condition":
            return self.holds(self.template["Conditions"][value])
        if name == "Fn::Equals":
            left, right = (self.text(side) for side in value)
            return str(left) == str(right)
        if name == "Fn::Not":
            return not self.holds(value[0])
        if name == "Fn::And":
            return all([self.holds(each) for each in value])
        if name == "Fn::Or":
            return any([self.holds(each) for each in value])
        if name == "Fn::EachMemberEquals":
            return all(member == value[1] for member in self.text(value[0]))
        raise ValueError(f"no condition: {name}")

    def decided(self, value):
        if isinstance(value, list):
            return [each for each in map(self.decided, value) if each is not NOTHING]
        if not isinstance(value, dict):
            return value
        if value == {"Ref": "AWS::NoValue"}:
            return NOTHING
        if list(value) == ["Fn::If"]:
            condition, then, other = value["Fn::If"]
            return self.decided(then if self.holds({"Condition": condition}) else other)
        decided = {key: self.decided(each) for key, each in value.items()}
        return {key: each for key, each in decided.items() if each is not NOTHING}

    def text(self, value):
        """A decided value with every reference followed: a parameter to its value, a resource to its name in braces."""
        if isinstance(value, list):
            return [self.text(each) for each in value]
        if not isinstance(value, dict):
            return value
        if len(value) != 1:
            return {key: self.text(each) for key, each in value.items()}
        [(name, inner)] = value.items()
        if name == "Ref":
            return self.name(inner)
        if name == "Fn::GetAtt":
            parts = inner if isinstance(inner, list) else inner.split(".", 1)
            return self.name(".".join(parts))
        if name == "Fn::Sub":
            pattern, names = inner if isinstance(inner, list) else (inner, {})
            return self.substituted(pattern, names)
        if name == "Fn::Join":
            return inner[0].join(self.text(inner[1]))
        if name == "Fn::Split":
            return self.text(inner[1]).split(inner[0])
        if name == "Fn::Select":
            return self.text(inner[1])[int(inner[0])]
        return {name: self.text(inner)}

    def substituted(self, pattern, names):
        pieces = pattern.split("${")
        text = pieces[0]
        for piece in pieces[1:]:
            name, rest = piece.split("}", 1)
            text += str(self.text(names[name]) if name in names else self.name(name)) + rest
        return text

    def name(self, name):
        if name in self.values:
            return self.values[name]
        if name in PSEUDO:
            return PSEUDO[name]
        if name.split(".")[0] not in self.resources:
            raise KeyError(f"{name} is referred to, and not in the stack")
        return "{" + name + "}"

    def default(self, name):
        if name not in self.given:
            return {}
        is_number = self.template["Parameters"][name]["Type"] == "Number"
        return {"Default": int(self.given[name]) if is_number else self.given[name]}

    def of_type(self, kind):
        """The resources of a type, by name, with all references followed."""
        return {
            name: self.text(resource.get("Properties", {}))
            for name, resource in self.resources.items()
            if resource["Type"] == kind
        }

    def flat(self):
        """The same as a template without conditions and rules, for linters: each reads the values that this stack has."""
        parameters = {name: parameter | self.default(name) for name, parameter in self.template["Parameters"].items()}
        return {
            "AWSTemplateFormatVersion": "2010-09-09",
            # A parameter that only a condition reads is unused here.
            "Metadata": {"cfn-lint": {"config": {"ignore_checks": ["W2001"]}}},
            "Parameters": parameters,
            "Resources": self.resources,
            "Outputs": self.outputs,
        }


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        source = file.read()
    parameters = dict(argument.split("=", 1) for argument in sys.argv[2:])
    print(json.dumps(Stack(source, parameters).flat() if parameters else translate(source, {}), indent=1))


if __name__ == "__main__":
    main()
