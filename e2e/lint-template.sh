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

# What the function's role may do, beyond writing its log. Each wanted text is the whole truth, so one action more is a failure.
statements=$(jq -c '[.Resources[].Properties.Policies? // empty | .[].PolicyDocument.Statement[] | .["Fn::If"][1] // .]' "$generated")
parameter='arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter${KeysParameter}'
key='arn:${AWS::Partition}:kms:${AWS::Region}:${AWS::AccountId}:key/${KeysKmsKeyId}'
same "the function reads, and writes no parameter, no path and no history" \
  "$(jq -c '[.[].Action] | flatten | sort' <<<"$statements")" '["kms:Decrypt","ssm:GetParameter","ssm:GetParameters"]'
same "it reads its parameter and no other" \
  "$(jq -r '.[] | select(.Action | index("ssm:GetParameter")) | .Resource["Fn::Sub"]' <<<"$statements")" "$parameter"
same "it decrypts with its key and no other" \
  "$(jq -r '.[] | select(.Action == "kms:Decrypt") | .Resource["Fn::Sub"]' <<<"$statements")" "$key"
same "and only for SSM, and only that parameter" \
  "$(jq -r '.[] | select(.Action == "kms:Decrypt") | .Condition.StringEquals | to_entries[] | .key + " " + .value["Fn::Sub"]' <<<"$statements")" \
  'kms:ViaService ssm.${AWS::Region}.amazonaws.com'$'\n'"kms:EncryptionContext:PARAMETER_ARN $parameter"
same "everything is allowed, nothing but that, and no resource is a wildcard" \
  "$(jq -c '[[.[].Effect] | unique, ([.. | strings | select(contains("*"))] | length)]' <<<"$statements")" '[["Allow"],0]'
same "no secret is a variable of the function" \
  "$(jq -c '[.. | .Variables? // empty | keys[] | select(test("SECRET"))]' "$generated")" '[]'

finish
