"""What a test does to a deployed function behind CloudFormation's back.

    aws_edit.py set FUNCTION NAME=VALUE    one of its environment variables; its environments are replaced
    aws_edit.py strip FUNCTION             takes every policy from its role
    aws_edit.py log GROUP                  prints what is in a log group
    aws_edit.py network                    makes a VPC with two subnets, prints their ids
    aws_edit.py code FUNCTION FILE         its bootstrap
    aws_edit.py multi on|off STACK         the multi-value headers of the target group that a stack has
"""

import io
import sys
import zipfile

import boto3


def set_variable(function, pair):
    client = boto3.client("lambda")
    name, _, value = pair.partition("=")
    variables = client.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
    client.update_function_configuration(FunctionName=function, Environment={"Variables": variables | {name: value}})


def strip(function):
    client = boto3.client("iam")
    role = boto3.client("lambda").get_function_configuration(FunctionName=function)["Role"].rsplit("/", 1)[1]
    for policy in client.list_role_policies(RoleName=role)["PolicyNames"]:
        client.delete_role_policy(RoleName=role, PolicyName=policy)
    for policy in client.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
        client.detach_role_policy(RoleName=role, PolicyArn=policy["PolicyArn"])


def log(group):
    pages = boto3.client("logs").get_paginator("filter_log_events").paginate(logGroupName=group)
    for page in pages:
        for event in page["events"]:
            print(event["message"].rstrip("\n"))


def network():
    client = boto3.client("ec2")
    vpc = client.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    zones = [zone["ZoneName"] for zone in client.describe_availability_zones()["AvailabilityZones"]]
    subnets = [
        client.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=zone)["Subnet"]["SubnetId"]
        for number, zone in enumerate(zones[:2])
    ]
    print(vpc, ",".join(subnets))


def code(function, file):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        # The bits that make it executable.
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o755 << 16
        with open(file, "rb") as program:
            archive.writestr(entry, program.read())
    boto3.client("lambda").update_function_code(FunctionName=function, ZipFile=packed.getvalue())


def multi(state, stack):
    client = boto3.client("elbv2")
    parts = boto3.client("cloudformation").describe_stack_resources(StackName=stack)["StackResources"]
    kind = "AWS::ElasticLoadBalancingV2::TargetGroup"
    group = next(part["PhysicalResourceId"] for part in parts if part["ResourceType"] == kind)
    attribute = {"Key": "lambda.multi_value_headers.enabled", "Value": "true" if state == "on" else "false"}
    client.modify_target_group_attributes(TargetGroupArn=group, Attributes=[attribute])


DEEDS = {"set": set_variable, "strip": strip, "log": log, "network": network, "code": code, "multi": multi}

if __name__ == "__main__":
    DEEDS[sys.argv[1]](*sys.argv[2:])
