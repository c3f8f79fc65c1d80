"""What template.yaml's alarms and its dashboard look at, held against what src/metrics writes: a part of template_promises.py."""

import json
import pathlib
import re

SOURCE = pathlib.Path("src/metrics.rs").read_text(encoding="utf-8")
LINES = pathlib.Path("src/metrics/emf.rs").read_text(encoding="utf-8").split("#[cfg(test)]")[0]
OPERATING = pathlib.Path("docs/operating.md").read_text(encoding="utf-8")

# Each alarm: whose metric, the statistic, what is too much, and in how many of how many times five minutes.
ALARMS = {
    "ErrorsAlarm": ("AWS/Lambda", "Errors", "Sum", 0, (1, 1)),
    "ThrottlesAlarm": ("AWS/Lambda", "Throttles", "Sum", 0, (1, 1)),
    "SlowAlarm": ("AWS/Lambda", "Duration", "p99", "SlowMilliseconds", (3, 3)),
    "UnavailableAlarm": ("lambda-session", "Unavailable", "Sum", 0, (1, 1)),
    "SecretsAlarm": ("lambda-session", "SecretsFailed", "Sum", 0, (3, 12)),
    "TimeoutsAlarm": ("lambda-session", "StoreTimeouts", "Sum", 10, (1, 1)),
    "BreakerAlarm": ("lambda-session", "BreakerOpen", "Sum", 0, (1, 1)),
    "CookiesAlarm": ("lambda-session", "CookieBytes", "Maximum", 3900, (1, 1)),
    "EvictionsAlarm": ("AWS/ElastiCache", "Evictions", "Sum", 0, (1, 1)),
}
# How what the crate writes adds up: events are counted together, of sizes the largest matters.
STATISTICS = {"Count": "Sum", "Bytes": "Maximum"}


def is_serverless(stack):
    return stack.values["Store"] == "memcached" and stack.values["Cache"] == "serverless"


def directives():
    """What stands before the metrics of a line, as the crate writes it: by the second dimension, the namespace and both dimensions."""
    found = re.findall(r'\{"Namespace":"([^"]+)","Dimensions":(\[\[.+?\]\]),"Metrics"', LINES)
    sets = [(namespace, json.loads(dimensions)[-1]) for namespace, dimensions in found]
    return {"".join(dimensions[1:]): (namespace, tuple(dimensions)) for namespace, dimensions in sets}


def metrics_of_the_crate():
    """Each metric's namespace, dimensions and unit."""
    [names] = re.findall(r"pub const NAMES: \[&str; \d+\] = \[(.+?)\];", SOURCE, re.DOTALL)
    [counted] = set(re.findall(r'count\.name\(\), "(\w+)"', LINES))
    units = dict.fromkeys(re.findall(r'"(\w+)"', names), counted) | dict(re.findall(r'\(start, "(\w+)", "(\w+)"', LINES))
    second = {name: dimension for dimension, name in re.findall(r'"(\w+)":"[^"]+","(Refused|Resealed)":', LINES)}
    return {name: (*directives()[second.get(name, "")], unit) for name, unit in units.items()}


def alarms_watch_what_is_counted(stack):
    alarms, values = stack.of_type("AWS::CloudWatch::Alarm"), stack.values
    uses_memcached = values["Store"] == "memcached"
    wanted = {"ErrorsAlarm", "ThrottlesAlarm", "SlowAlarm"}
    if values["Metrics"] == "yes":
        wanted |= {"UnavailableAlarm", "SecretsAlarm"}
        wanted |= {"TimeoutsAlarm", "BreakerAlarm"} if uses_memcached else {"CookiesAlarm"}
    wanted |= {"EvictionsAlarm"} if uses_memcached else set()
    yield "alarms", set(alarms), wanted
    topic = [values["AlarmTopicArn"]] if values["AlarmTopicArn"] else None
    for name, alarm in alarms.items():
        yield f"{name}'s topic", (alarm.get("AlarmActions"), alarm.get("OKActions")), (topic, topic)
        yield f"{name} is explained", f"`{name}`" in OPERATING, True
        statistic = alarm.get("Statistic") or alarm.get("ExtendedStatistic")
        periods = alarm["EvaluationPeriods"]
        rings = (alarm.get("DatapointsToAlarm", periods), periods)
        namespace, metric, how, most, when = ALARMS[name]
        most = values[most] if most in values else most
        seen = (alarm["Namespace"], alarm["MetricName"], statistic, str(alarm["Threshold"]), rings)
        yield f"{name} watches", seen, (namespace, metric, how, str(most), when)
        seen = (alarm["Period"], alarm["ComparisonOperator"], alarm["TreatMissingData"])
        yield f"{name} rings", seen, (300, "GreaterThanThreshold", "notBreaching")
        dimensions = {each["Name"]: each["Value"] for each in alarm["Dimensions"]}
        if namespace == "AWS/ElastiCache":
            of = {"clusterId": "{SessionServerlessCache}"} if is_serverless(stack) else {"CacheClusterId": "{SessionCluster}"}
        else:
            of = {"FunctionName": "{SessionFunction}"}
        yield f"{name} is about", dimensions, of
        if namespace == "lambda-session":
            # Which of its dimensions a metric is summed over is the first set's to say: the function alone.
            written, (first, *_), unit = metrics_of_the_crate()[metric]
            yield f"{name} is counted so", (namespace, list(dimensions), statistic), (written, [first], STATISTICS[unit])


def the_dashboard_shows_all_that_is_counted(stack):
    dashboards = stack.of_type("AWS::CloudWatch::Dashboard").values()
    yield "dashboards", len(dashboards), int(stack.values["Dashboard"] == "yes")
    for dashboard in dashboards:
        shown = {}
        for widget in json.loads(dashboard["DashboardBody"])["widgets"]:
            shown |= shown_in(widget["properties"]["metrics"])
        ours = {name: (namespace, dimensions) for (namespace, name), dimensions in shown.items() if not namespace.startswith("AWS/")}
        yield "ours", ours, {name: written[:2] for name, written in metrics_of_the_crate().items()}


def shown_in(lines):
    """Which metrics the lines of a widget name, with their dimensions. A dot repeats the line before, three of them all of it."""
    shown, before = {}, []
    for line in lines:
        if isinstance(line[0], dict):
            schema, name = re.search(r"SEARCH\('\{(.+?)\} MetricName=\"(\w+)\"", line[0]["expression"]).groups()
            namespace, *dimensions = schema.split(",")
            shown[namespace.strip('"'), name] = tuple(dimensions)
            continue
        words = [word for word in line if isinstance(word, str)]
        words = before if words == ["..."] else [old if word == "." else word for word, old in zip(words, before or words)]
        shown[words[0], words[1]] = tuple(words[2::2])
        before = words
    return shown
