"""What template.yaml promises and no linter knows, asked of stacks with many parameters; and of templates that break one promise
each, to see that it is noticed. Prints each as a line of JSON: the promise, what was seen, what was wanted.

    template_promises.py template.yaml FOLDER

leaves each stack's template in the folder, without conditions, for cfn-lint."""

import json
import pathlib
import re
import sys

from sam2cfn import Stack
from template_watch import alarms_watch_what_is_counted, is_serverless, the_dashboard_shows_all_that_is_counted

NETWORK = {"VpcId": "vpc-0123456789abcdef0", "SubnetIds": "subnet-0123456789abcdef0,subnet-0123456789abcdef1"}
PUBLIC = {"VpcId": "vpc-0123456789abcdef0", "PublicSubnetIds": "subnet-0123456789abcdef2,subnet-0123456789abcdef3"}
CERTIFICATE = "arn:aws:acm:eu-west-1:123456789012:certificate/11111111-2222-3333-4444-555555555555"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:operators"
KMS_KEY = "11111111-2222-3333-4444-555555555555"
DOORS = {"FunctionUrl": "yes", "RestApi": "yes", "LoadBalancer": "yes"} | PUBLIC
WATCHED = {"Metrics": "yes", "Dashboard": "yes", "AlarmTopicArn": TOPIC}
NODES = {"Store": "memcached"} | NETWORK
SERVERLESS = NODES | {"Cache": "serverless"}

STACKS = {
    "defaults": {},
    "signed, on x86_64": {"Protection": "signed", "Architecture": "x86_64"},
    "function URL alone": {"HttpApi": "no", "FunctionUrl": "yes"},
    "every door": DOORS,
    "load balancer with a certificate": {"HttpApi": "no", "LoadBalancer": "yes", "CertificateArn": CERTIFICATE} | PUBLIC,
    "watched": WATCHED | {"KeysKmsKeyId": KMS_KEY, "LogRetentionDays": "7"},
    "nodes": NODES,
    "one node, no endpoint": NODES | {"CacheNodes": "1", "CreateSsmEndpoint": "no"},
    "nodes in one subnet": NODES | {"SubnetIds": "subnet-0123456789abcdef0"},
    "serverless": SERVERLESS | {"CacheMaxGigabytes": "20"},
    "watched nodes": NODES | WATCHED,
    "everything on nodes": NODES | DOORS | WATCHED | {"CertificateArn": CERTIFICATE, "KeysKmsKeyId": KMS_KEY},
    "everything on serverless": SERVERLESS | DOORS | WATCHED,
}

# Parameters that contradict each other, and how the refusal begins.
REFUSED = [
    ({"HttpApi": "no"}, "nothing leads to the function"),
    ({"Store": "memcached"}, "Store=memcached needs VpcId"),
    ({"Store": "memcached", "VpcId": NETWORK["VpcId"]}, "Store=memcached needs SubnetIds"),
    (NODES | {"Protection": "signed"}, "Protection=signed is for Store=cookie"),
    ({"Cache": "serverless"}, "Cache=serverless without Store=memcached"),
    ({"LoadBalancer": "yes"}, "LoadBalancer=yes needs VpcId"),
    ({"LoadBalancer": "yes", "VpcId": PUBLIC["VpcId"]}, "LoadBalancer=yes needs PublicSubnetIds"),
    ({"CertificateArn": CERTIFICATE}, "CertificateArn is the load balancer's"),
    ({"Dashboard": "yes"}, "Dashboard=yes shows what Metrics=yes counts"),
]

# The one managed policy, and the actions that AWS knows no resource for.
INTERFACES = "arn:aws:iam::aws:policy/service-role/AWSLambdaENIManagementAccess"
TRACES = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
OUTPUTS = {"HttpApi": "HttpApiUrl", "FunctionUrl": "FunctionUrl", "RestApi": "RestApiUrl", "LoadBalancer": "LoadBalancerUrl"}
SOURCE = pathlib.Path("src")
GUIDE = pathlib.Path("docs/deploying-with-sam.md").read_text(encoding="utf-8")


def variables_of_the_crate():
    text = "".join(path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.rs"))
    return set(re.findall(r'"((?:SESSION|MEMCACHE|SECRET)_[A-Z_]+)"', text))


def one(stack, kind):
    [properties] = stack.of_type(kind).values()
    return properties


def the_function_is_what_was_asked_for(stack):
    function, values = one(stack, "AWS::Lambda::Function"), stack.values
    yield "runtime", function["Runtime"], "provided.al2023"
    yield "architecture", function["Architectures"], [values["Architecture"]]
    yield "tracing", function["TracingConfig"], {"Mode": "Active"}
    yield "role", function["Role"], "{SessionRole.Arn}"
    logging = function["LoggingConfig"]
    yield "log", (logging["LogFormat"], logging["LogGroup"]), ("JSON", "{SessionLogs}")
    yield "retention", str(one(stack, "AWS::Logs::LogGroup")["RetentionInDays"]), values["LogRetentionDays"]


def the_function_has_settings_that_the_crate_knows(stack):
    variables, values = one(stack, "AWS::Lambda::Function")["Environment"]["Variables"], stack.values
    yield "unknown variables", sorted(set(variables) - variables_of_the_crate()), []
    yield "secrets", sorted(name for name in variables if name.startswith("SECRET")), []
    wanted = {
        "SESSION_KEYS_PARAMETER": values["KeysParameter"],
        "SESSION_STORE": values["Store"],
        "SESSION_IDLE": values["Idle"],
        "SESSION_ABSOLUTE": values["Absolute"],
        "SESSION_SCOPE": "shop",
    }
    if values["Metrics"] == "yes":
        wanted["SESSION_METRICS"] = "emf"
    if values["Store"] == "cookie":
        wanted["SESSION_PROTECTION"] = values["Protection"]
    else:
        endpoint = "SessionServerlessCache.Endpoint" if is_serverless(stack) else "SessionCluster.ConfigurationEndpoint"
        wanted |= {"MEMCACHE_TLS": "on", "MEMCACHE_SERVERS": f"{{{endpoint}.Address}}:{{{endpoint}.Port}}"}
    yield "variables", variables, wanted


def the_role_may_do_what_it_needs_and_no_more(stack):
    role, values = one(stack, "AWS::IAM::Role"), stack.values
    uses_memcached = values["Store"] == "memcached"
    yield "managed policies", role.get("ManagedPolicyArns", []), [INTERFACES] if uses_memcached else []
    yield "other policies", sorted(stack.of_type("AWS::IAM::Policy")), []
    [trust] = role["AssumeRolePolicyDocument"]["Statement"]
    yield "trust", (trust["Principal"], trust["Action"]), ({"Service": "lambda.amazonaws.com"}, "sts:AssumeRole")
    arn = f"arn:aws:ssm:eu-west-1:123456789012:parameter{values['KeysParameter']}"
    wanted = [{"Effect": "Allow", "Action": ["ssm:GetParameter", "ssm:GetParameters"], "Resource": arn}]
    if values["KeysKmsKeyId"]:
        only = {"kms:ViaService": "ssm.eu-west-1.amazonaws.com", "kms:EncryptionContext:PARAMETER_ARN": arn}
        key = f"arn:aws:kms:eu-west-1:123456789012:key/{values['KeysKmsKeyId']}"
        decrypt = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": key, "Condition": {"StringEquals": only}}
        wanted.append(decrypt)
    log = ["logs:CreateLogStream", "logs:PutLogEvents"]
    wanted.append({"Effect": "Allow", "Action": log, "Resource": "{SessionLogs.Arn}"})
    wanted.append({"Effect": "Allow", "Action": TRACES, "Resource": "*"})
    yield "statements", [each for policy in role["Policies"] for each in policy["PolicyDocument"]["Statement"]], wanted


def statements(value):
    """Whatever allows or denies something, wherever in a stack it stands."""
    if isinstance(value, dict) and "Effect" in value:
        yield value
    elif isinstance(value, (dict, list)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from statements(each)


def listed(value):
    return value if isinstance(value, list) else [value]


def only_traces_are_of_any_resource(stack):
    """The role's one other `*` is inside AWS's own policy for network interfaces, and that one is for a function in a VPC."""
    for statement in statements(stack.text(stack.resources)):
        if any("*" in str(resource) for resource in listed(statement.get("Resource", []))):
            yield "of any resource", listed(statement["Action"]), TRACES
        yield "any action", [action for action in listed(statement["Action"]) if "*" in action], []
    managed = [policy for role in stack.of_type("AWS::IAM::Role").values() for policy in role.get("ManagedPolicyArns", [])]
    yield "AWS's own policies", sorted({*managed} - {INTERFACES}), []


def each_door_is_open_where_asked_for_and_nowhere_else(stack):
    values = stack.values
    asked = {door for door in OUTPUTS if values[door] == "yes"}
    yield "outputs", {door for door, name in OUTPUTS.items() if name in stack.outputs}, asked
    permissions = stack.of_type("AWS::Lambda::Permission").values()
    execute = "arn:aws:execute-api:eu-west-1:123456789012:"
    [targets] = [each["Name"] for each in stack.of_type("AWS::ElasticLoadBalancingV2::TargetGroup").values()] or [None]
    wanted = {
        "HttpApi": [("apigateway.amazonaws.com", "lambda:InvokeFunction", execute + "{HttpApiGateway}/*/$default")],
        "RestApi": [("apigateway.amazonaws.com", "lambda:InvokeFunction", execute + "{RestApiGateway}/*")],
        "FunctionUrl": [("*", "lambda:InvokeFunctionUrl", "NONE"), ("*", "lambda:InvokeFunction", True)],
        "LoadBalancer": [
            (
                "elasticloadbalancing.amazonaws.com",
                "lambda:InvokeFunction",
                f"arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/{targets}/*",
            )
        ],
    }
    limits = ("SourceArn", "FunctionUrlAuthType", "InvokedViaFunctionUrl")
    seen = [(each["Principal"], each["Action"], next(each.get(key) for key in limits if key in each)) for each in permissions]
    yield "permissions", sorted(map(str, seen)), sorted(str(each) for door in asked for each in wanted[door])


def every_door_sends_what_the_crate_reads_best(stack):
    for name, integration in stack.of_type("AWS::ApiGatewayV2::Integration").items():
        yield name, integration["PayloadFormatVersion"], "2.0"
    for name, stage in stack.of_type("AWS::ApiGatewayV2::Stage").items():
        yield name, stage["StageName"], "$default"
    for name, api in stack.of_type("AWS::ApiGateway::RestApi").items():
        yield name, (api["Body"].get("x-amazon-apigateway-binary-media-types"), sorted(api["Body"]["paths"])), (["*/*"], ["/", "/{proxy+}"])
    for name, group in stack.of_type("AWS::ElasticLoadBalancingV2::TargetGroup").items():
        attributes = {each["Key"]: each["Value"] for each in group["TargetGroupAttributes"]}
        yield name, attributes.get("lambda.multi_value_headers.enabled"), "true"
    listeners = stack.of_type("AWS::ElasticLoadBalancingV2::Listener").values()
    plain = [each for each in listeners if each["Protocol"] == "HTTP" and each["DefaultActions"][0]["Type"] == "forward"]
    yield "plain HTTP with a certificate", len(plain) if stack.values["CertificateArn"] else 0, 0


def the_cache_is_encrypted_and_the_function_s_alone(stack):
    clusters, serverless = (stack.of_type(f"AWS::ElastiCache::{kind}") for kind in ("CacheCluster", "ServerlessCache"))
    uses_memcached = stack.values["Store"] == "memcached"
    yield "caches", (len(clusters), len(serverless)), (int(uses_memcached and not serverless), int(is_serverless(stack)))
    cache = ["{CacheSecurityGroup.GroupId}"]
    for cluster in clusters.values():
        yield "engine", (cluster["Engine"], cluster["TransitEncryptionEnabled"]), ("memcached", True)
        version = tuple(map(int, cluster["EngineVersion"].split(".")))
        yield "an engine that the crate refuses", version if version < (1, 6, 12) else None, None
        one_zone = stack.values["CacheNodes"] == "1" or len(stack.values["SubnetIds"]) == 1
        yield "zones", cluster["AZMode"], "single-az" if one_zone else "cross-az"
        yield "security groups", cluster["VpcSecurityGroupIds"], cache
    for each in serverless.values():
        yield "engine", each["Engine"], "memcached"
        yield "name", bool(re.fullmatch(r"[a-z][a-z0-9-]{0,39}", each["ServerlessCacheName"])), True
        yield "security groups", each["SecurityGroupIds"], cache
    groups = stack.of_type("AWS::EC2::SecurityGroup")
    ingress = {name: group.get("SecurityGroupIngress", []) for name, group in groups.items()}
    function = "{FunctionSecurityGroup.GroupId}"
    wanted = {}
    if uses_memcached:
        wanted["FunctionSecurityGroup"] = []
        wanted["CacheSecurityGroup"] = [{"IpProtocol": "tcp", "FromPort": 11211, "ToPort": 11211, "SourceSecurityGroupId": function}]
        vpc = {"SecurityGroupIds": [function], "SubnetIds": stack.values["SubnetIds"]}
        yield "network", one(stack, "AWS::Lambda::Function").get("VpcConfig"), vpc
    else:
        yield "network", one(stack, "AWS::Lambda::Function").get("VpcConfig"), None
    if has_endpoint(stack):
        wanted["EndpointSecurityGroup"] = [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "SourceSecurityGroupId": function}]
    seen = {name: rules for name, rules in ingress.items() if name != "BalancerSecurityGroup"}
    yield "who may come in", seen, wanted
    yield "rules besides", sorted(stack.of_type("AWS::EC2::SecurityGroupIngress")), []


def has_endpoint(stack):
    return stack.values["Store"] == "memcached" and stack.values["CreateSsmEndpoint"] == "yes"


def the_function_in_a_vpc_reaches_ssm(stack):
    endpoints = stack.of_type("AWS::EC2::VPCEndpoint").values()
    yield "endpoints", len(endpoints), int(has_endpoint(stack))
    for endpoint in endpoints:
        seen = [endpoint[key] for key in ("VpcEndpointType", "ServiceName", "PrivateDnsEnabled", "SecurityGroupIds")]
        yield "endpoint", seen, ["Interface", "com.amazonaws.eu-west-1.ssm", True, ["{EndpointSecurityGroup.GroupId}"]]
    tags = {each["Key"]: each["Value"] for each in one(stack, "AWS::Lambda::Function")["Tags"]}
    yield "made before the function", tags["SsmEndpoint"], "{SsmEndpoint}" if has_endpoint(stack) else "none"


PROMISES = [
    the_function_is_what_was_asked_for,
    the_function_has_settings_that_the_crate_knows,
    the_role_may_do_what_it_needs_and_no_more,
    only_traces_are_of_any_resource,
    each_door_is_open_where_asked_for_and_nowhere_else,
    every_door_sends_what_the_crate_reads_best,
    the_cache_is_encrypted_and_the_function_s_alone,
    the_function_in_a_vpc_reaches_ssm,
    alarms_watch_what_is_counted,
    the_dashboard_shows_all_that_is_counted,
]

# Templates with one fault each that no linter sees: where, what stands there instead, and in which stack it is noticed.
FAULTS = [
    ("another engine for the nodes", "Engine: memcached\n      # 1.6", "Engine: valkey\n      # 1.6", "nodes"),
    ("another engine for serverless", "Engine: memcached\n      SubnetIds", "Engine: valkey\n      SubnetIds", "serverless"),
    ("an engine that the crate refuses", "EngineVersion: 1.6.22", "EngineVersion: 1.6.6", "nodes"),
    ("one node in two zones", "[!Equals [!Ref CacheNodes, 1], ", "[!Equals [!Ref CacheNodes, 0], ", "one node, no endpoint"),
    ("one subnet in two zones", "!Select [0, !Ref SubnetIds]", '""', "nodes in one subnet"),
    ("all nodes in one zone", "single-az, cross-az", "single-az, single-az", "nodes"),
    ("a cache that speaks plainly", "TransitEncryptionEnabled: true", "TransitEncryptionEnabled: false", "nodes"),
    ("a cache open to the VPC", "SourceSecurityGroupId: !GetAtt FunctionSecurityGroup.GroupId", "CidrIp: 10.0.0.0/8", "nodes"),
    ("a client that speaks plainly", 'UsesMemcached, "on"', 'UsesMemcached, "off"', "nodes"),
    ("events of payload format 1.0", 'PayloadFormatVersion: "2.0"', 'PayloadFormatVersion: "1.0"', "defaults"),
    ("a named stage", "StageName: $default", "StageName: live", "defaults"),
    ("one cookie a request", 'lambda.multi_value_headers.enabled, Value: "true"', 'lambda.multi_value_headers.enabled, Value: "false"', "every door"),
    ("broken images", 'BinaryMediaTypes: ["*~1*"]', 'BinaryMediaTypes: ["image~1png"]', "every door"),
    ("every parameter", ":parameter${KeysParameter}", ":parameter/*", "defaults"),
    ("every action", "[ssm:GetParameter, ssm:GetParameters]", '"ssm:*"', "defaults"),
    ("a parameter that is written", "ssm:GetParameters]", "ssm:GetParameters, ssm:PutParameter]", "defaults"),
    ("every log", "Resource: !GetAtt SessionLogs.Arn", 'Resource: "*"', "defaults"),
    ("every key", ":key/${KeysKmsKeyId}", ":key/*", "watched"),
    ("every trace and more", "[xray:PutTraceSegments, ", "[xray:PutTraceSegments, s3:GetObject, ", "defaults"),
    ("an endpoint that lets out", "PrivateDnsEnabled: true", "PrivateDnsEnabled: true\n      PolicyDocument: {Statement: [{Effect: Allow, Principal: '*', Action: 'ssm:*', Resource: '*'}]}", "nodes"),
    ("a key for every service", "kms:ViaService:", "aws:SourceArn:", "watched"),
    ("a managed policy more", "AWSLambdaENIManagementAccess", "AWSLambdaVPCAccessExecutionRole", "nodes"),
    ("a misspelt variable", "SESSION_STORE:", "SESSIONS_STORE:", "defaults"),
    ("a variable that is nobody's", "SESSION_IDLE:", "SESSION_TIMEOUT:", "defaults"),
    ("a secret in the open", "SESSION_KEYS_PARAMETER:", "SECRET_KEY_BASE:", "defaults"),
    ("a setting that only warns", "!If [UsesMemcached, !Ref AWS::NoValue, !Ref Protection]", "!Ref Protection", "nodes"),
    ("no private DNS", "PrivateDnsEnabled: true", "PrivateDnsEnabled: false", "nodes"),
    ("another service's endpoint", "com.amazonaws.${AWS::Region}.ssm", "com.amazonaws.${AWS::Region}.ssmmessages", "nodes"),
    ("a function URL without its second permission", "InvokedViaFunctionUrl: true", "InvokedViaFunctionUrl: false", "every door"),
    ("an API that any API may call", "${HttpApiGateway}/*/$default", "*", "defaults"),
    ("an alarm on what nobody counts", "MetricName: Unavailable", "MetricName: Unavailables", "watched"),
    ("an alarm of another function", "Value: !Ref SessionFunction", "Value: shop", "watched"),
    ("an alarm in another namespace", "Namespace: lambda-session\n      MetricName: BreakerOpen", "Namespace: AWS/Lambda\n      MetricName: BreakerOpen", "watched nodes"),
    ("an alarm on another count", "MetricName: BreakerOpen", "MetricName: StoreHedges", "watched nodes"),
    ("an alarm on an average", "Statistic: Maximum", "Statistic: Average", "watched"),
    ("an alarm on a sum of bytes", "Statistic: Maximum", "Statistic: Sum", "watched"),
    ("an alarm that rings too late", "Threshold: 3900", "Threshold: 4096", "watched"),
    ("an alarm that rings early", "Threshold: 10", "Threshold: 0", "watched nodes"),
    ("an alarm over a day", "Period: 300\n      EvaluationPeriods: 12", "Period: 3600\n      EvaluationPeriods: 12", "watched"),
    ("an alarm on three periods in a row", "DatapointsToAlarm: 3", "DatapointsToAlarm: 12", "watched"),
    ("an alarm when all is well", "ComparisonOperator: GreaterThanThreshold", "ComparisonOperator: LessThanThreshold", "watched"),
    ("an alarm when nobody comes", "TreatMissingData: notBreaching", "TreatMissingData: breaching", "watched"),
    ("no alarm on the breaker", "Condition: WatchesStore\n    Properties:\n      AlarmDescription: A cache node", "Condition: WatchesCookies\n    Properties:\n      AlarmDescription: A cache node", "watched nodes"),
    ("an alarm on cookies that never grow", "Condition: WatchesCookies", "Condition: HasMetrics", "watched nodes"),
    ("an alarm that tells nobody", "OKActions: !If [HasAlarmTopic, [!Ref AlarmTopicArn], !Ref AWS::NoValue]", "ActionsEnabled: true", "watched"),
    ("a widget of what nobody counts", '"StoreHedges"', '"StoreHedge"', "watched"),
    ("a widget by another dimension", "FunctionName,Reason}", "FunctionName,Cause}", "watched"),
    ("text logs", "LogFormat: JSON", "LogFormat: Text", "defaults"),
    ("no traces", "Tracing: Active", "Tracing: PassThrough", "defaults"),
    ("no VPC", "VpcConfig: !If\n        - UsesMemcached", "VpcConfig: !If\n        - HasServerless", "nodes"),
]


def kept(stack, promise):
    """What is wrong with a promise: what about it, what was seen and what was wanted; or why it could not be asked."""
    try:
        return [(about, seen, wanted) for about, seen, wanted in promise(stack) if seen != wanted]
    except (KeyError, ValueError, StopIteration, AttributeError) as error:
        return [(promise.__name__, repr(error), "an answer")]


def main():
    source, folder = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"), pathlib.Path(sys.argv[2])

    def tell(promise, seen, wanted):
        print(json.dumps([promise, str(seen), str(wanted)]), flush=True)

    for name, parameters in STACKS.items():
        stack = Stack(source, parameters)
        (folder / f"{name}.json").write_text(json.dumps(stack.flat()), encoding="utf-8")
        tell(f"{name}: no rule refuses it", stack.refusals, [])
        for promise in PROMISES:
            tell(f"{name}: {promise.__name__.replace('_', ' ')}", kept(stack, promise), [])
    unexplained = [name for name in stack.values if not re.search(rf"`{name}\b", GUIDE)]
    tell("the guide explains every parameter", unexplained, [])
    for parameters, refusal in REFUSED:
        shown = " ".join(f"{key}={value}" for key, value in parameters.items())
        tell(f"refused: {shown}", [each.startswith(refusal) for each in Stack(source, parameters).refusals][:1], [True])
    for fault, old, new, where in FAULTS:
        broken = source.replace(old, new)
        noticed = broken != source and any(kept(Stack(broken, STACKS[where]), promise) for promise in PROMISES)
        tell(f"noticed: {fault}", noticed, True)


if __name__ == "__main__":
    main()
