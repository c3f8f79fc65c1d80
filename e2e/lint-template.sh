#!/usr/bin/env bash
# Is template.yaml one that SAM and CloudFormation accept?
. "$(dirname "$0")/lib.sh"

# The translator asks for a region though it calls nobody.
export AWS_DEFAULT_REGION=eu-west-1

passes "sam validate" sam validate --template template.yaml
passes "sam validate --lint" sam validate --lint --template template.yaml
passes "cfn-lint on the SAM source" cfn-lint --template template.yaml

generated=$scratch/generated.json
translate() { .tools/venv/bin/python e2e/sam2cfn.py template.yaml >"$generated"; }
passes "the SAM translator takes it" translate
passes "cfn-lint on what the translator makes of it" cfn-lint --template "$generated"

# No linter knows this one: with another version the function would get events of another shape.
same "every route sends events of payload format 2.0" \
  "$(jq -c '[.. | .payloadFormatVersion? // empty] | unique' "$generated")" '["2.0"]'

finish
