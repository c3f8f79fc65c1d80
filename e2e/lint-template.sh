#!/usr/bin/env bash
# Is template.yaml one that SAM and CloudFormation accept, with whatever parameters; and does it promise what it should?
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

stacks=$scratch/stacks
mkdir "$stacks"
status=0
.tools/venv/bin/python e2e/template_promises.py template.yaml "$stacks" >"$scratch/promises" || status=$?
promises "$scratch/promises"
same "all promises were asked for" "$status" 0
passes "cfn-lint on the stacks of $(ls "$stacks" | wc -l) sets of parameters" cfn-lint "$stacks"/*.json

finish
