"""`serverless.yml`: what `osls package` makes of it, without an account and without a network (issue 7, point 1).

osls and its tools come by npm (package-lock.json); where they cannot be had it is said in one line. Rows WDR-05, MIN-03;
decision 29.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bridge.handlers import worker
from bridge.handlers.figures import FIGURES, NAMESPACE
from bridge.settings import SETTINGS
from scripts.osls import NO_OSLS
from tests.zips import HERE

OSLS = HERE / "node_modules" / ".bin" / "osls"
SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:consent-bridge-AbCdEf"

#: None, and every switch that may be on with the others.
SWITCHES = {
    "plain": {},
    "most": {
        "snapStart": "true",
        **{"ownDomain": "yes", "domain": "keuzes.krant.example"},
        "certificate": "arn:aws:acm:eu-central-1:123456789012:certificate/0a1b2c3d",
        **{"mailAlarms": "yes", "alarmEmail": "wacht@krant.example"},
        **{"inVpc": "yes", "subnets": "subnet-0a1b2c3d,subnet-1a1b2c3d", "groups": "sg-0a1b2c3d"},
        **{"reserve": "no", "arch": "x86_64", "logLevel": "WARN"},
    },
}

Template = dict[str, Any]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that osls reads, with a zip in its place."""
    if not OSLS.exists():
        pytest.skip(NO_OSLS)
    folder = tmp_path_factory.mktemp("aws")
    shutil.copy(HERE / "serverless.yml", folder)
    shutil.copytree(HERE / "aws", folder / "aws")
    (folder / "build").mkdir()
    for arch in ("arm64", "x86_64"):
        (folder / "build" / f"lambda-{arch}.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    return folder


def packaged(project: Path, name: str) -> Path:
    """Package it once with these switches; the template."""
    out = project / name
    template = out / "cloudformation-template-update-stack.json"
    if not template.exists():
        switches = [f"--param={key}={value}" for key, value in {"secret": SECRET, **SWITCHES[name]}.items()]
        environment = {"PATH": os.environ["PATH"], "HOME": str(project), "SLS_TELEMETRY_DISABLED": "1"}
        command = [str(OSLS), "package", "--package", str(out), *switches]
        done = subprocess.run(
            command, cwd=project, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr + done.stdout
        assert "Warning" not in done.stderr + done.stdout
    return template


@pytest.fixture(scope="module")
def template(project: Path) -> Template:
    """As it is without any switch."""
    told: Template = json.loads(packaged(project, "plain").read_text())
    return told


def of(template: Template, kind: str) -> dict[str, Any]:
    """The resources of a kind: name -> properties."""
    found = template["Resources"].items()
    return {name: each.get("Properties", {}) for name, each in found if each["Type"] == kind}


def test_it_packages_and_lints_clean(project: Path) -> None:
    """With every switch and with none. W3005: a DependsOn that osls writes itself although it is implied."""
    options = ["-r", "eu-central-1", "-i", "W3005", "-t", *(str(packaged(project, name)) for name in SWITCHES)]
    command = [sys.executable, "-c", "from cfnlint.runner import main; main()", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_parameter_is_used() -> None:
    """A switch that nothing reads would be believed all the same; those that may be left out have no default."""
    files = (HERE / "serverless.yml", *(HERE / "aws").glob("*.yml"))
    told = "".join(path.read_text(encoding="utf-8") for path in files)
    (block,) = re.findall(r"^params:\n  default:\n((?:    .*\n|\n)*)", told, re.MULTILINE)
    named = set(re.findall(r"^    (\w+):", block, re.MULTILINE))
    assert {"webConcurrency", "reserve", "restart"} <= named
    assert named | {"secret", "provisioned"} == set(re.findall(r"\$\{param:(\w+)", told))


def test_a_typing_error_stops_it(project: Path) -> None:
    """`configValidationMode: error`; and without the secret's ARN nothing is built."""
    text = (HERE / "serverless.yml").read_text(encoding="utf-8")
    assert "configValidationMode: error" in text
    wrong = project / "wrong"
    shutil.copytree(project / "aws", wrong / "aws")
    (wrong / "serverless.yml").write_text(text.replace("maximumConcurrency", "maximumConcurency"))
    done = subprocess.run(
        [str(OSLS), "package", f"--param=secret={SECRET}"], cwd=wrong, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "maximumConcurency" in done.stdout + done.stderr


def test_every_setting_is_one_and_no_secret_is_in_the_template(template: Template) -> None:
    """Secrets go by ARN and are read at run time; names are those of the settings."""
    for name, function in of(template, "AWS::Lambda::Function").items():
        for key, value in function["Environment"]["Variables"].items():
            plain = key.removesuffix("_ARN")
            assert (
                plain in SETTINGS or plain.startswith(("MAILCHIMP_", "SENDGRID_", "MANDRILL_")) or key == "RESTARTED"
            ), (name, key)
            if key.endswith("_ARN"):
                assert value == f"{SECRET}:{plain}::"
            else:
                assert not plain.endswith(("_KEYS", "_KEY", "_SECRET", "_URL")) or plain == "BRIDGE_BASE_URL"
    told = {name for one in of(template, "AWS::Lambda::Function").values() for name in one["Environment"]["Variables"]}
    must = {name for name, default in SETTINGS.items() if default is None}
    assert must <= {name.removesuffix("_ARN") for name in told}


def test_every_handler_is_there_and_every_job_has_its_time(template: Template) -> None:
    """A job that is in the table and not in serverless.yml would never be done."""
    for function in of(template, "AWS::Lambda::Function").values():
        module, _, name = function["Handler"].rpartition(".")
        assert module in ("bridge.handlers.web", "bridge.handlers.worker")
        assert name in ("handler", *worker._HANDLERS)
    rules = of(template, "AWS::Events::Rule").values()
    told = [json.loads(target["Input"])["job"] for rule in rules for target in rule["Targets"]]
    assert sorted(told) == sorted(worker.JOBS)


def test_no_throttle_stands_before_a_stop_or_a_platforms_news(template: Template) -> None:
    """Decision 29: routes and a function of their own; only the default route is throttled."""
    routes = {one["RouteKey"]: one for one in of(template, "AWS::ApiGatewayV2::Route").values()}
    own = {"ANY /u/{token}", "ANY /webhooks/{adapter}", "ANY /webhooks/{adapter}/{secret}"}
    assert set(routes) == own | {"$default"}
    (stage,) = of(template, "AWS::ApiGatewayV2::Stage").values()
    assert set(stage["RouteSettings"]) == {"$default"}
    assert not any("Throttling" in key for key in stage.get("DefaultRouteSettings", {}))
    targets = {key: json.dumps(one["Target"]) for key, one in routes.items()}
    assert {targets[key] for key in own} != {targets["$default"]}
    assert all("Stops" in targets[key] for key in own)


def test_the_access_log_holds_no_path_query_or_address(template: Template) -> None:
    """MIN-03: a path holds a reader's token, a source address is hers."""
    (stage,) = of(template, "AWS::ApiGatewayV2::Stage").values()
    told = set(re.findall(r"\$context\.([\w.]+)", stage["AccessLogSettings"]["Format"]))
    assert told
    assert not {name for name in told if re.search("path|query|sourceIp|userAgent|identity|protocol|route", name)}


def test_a_message_that_cannot_be_handled_is_tried_again(template: Template) -> None:
    """Partial batch failures, and time enough before a message is given out again.

    WDR-10: SQS gives up none by counting its tries, 1,000 at most: a database that is away a day is more. Parked stops are
    kept as long as SQS can; a ring need not be, and none of them raises the alarm of lost stops."""
    functions = of(template, "AWS::Lambda::Function")
    mappings = of(template, "AWS::Lambda::EventSourceMapping").values()
    queues = of(template, "AWS::SQS::Queue")
    assert len(mappings) == 2
    for one in mappings:
        assert one["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        queue = queues[one["EventSourceArn"]["Fn::GetAtt"][0]]
        assert "RedrivePolicy" not in queue
        name = re.search(r"\w+LambdaFunction", json.dumps(one["FunctionName"]))
        assert name
        function = functions[name[0]]
        assert queue["VisibilityTimeout"] >= 3 * function["Timeout"]
        assert one["ScalingConfig"]["MaximumConcurrency"] < function["ReservedConcurrentExecutions"]
    most = 14 * 24 * 3600
    assert [queues[name]["MessageRetentionPeriod"] for name in ("Parked", "DeadLetters")] == [most, most]
    assert queues["Rings"]["MessageRetentionPeriod"] > queues["Rings"]["VisibilityTimeout"]
    for one in functions.values():
        spool = one["Environment"]["Variables"]["BRIDGE_SPOOL"]["Fn::Sub"]
        assert spool == "sqs:${Parked},${DeadLetters}", "where those go that nobody can write"


def test_alarms_watch_what_must_not_wait(template: Template) -> None:
    """Dead letters, overdue work, the withdrawal clock, complaints; figures are those that the job `clock` writes."""
    alarms = of(template, "AWS::CloudWatch::Alarm").values()
    ours = {alarm["MetricName"] for alarm in alarms if alarm.get("Namespace") == NAMESPACE}
    assert ours == {"OverdueSeconds", "StopsLate", "StopsBroken", "ComplaintPercent"} <= FIGURES.keys()
    assert all(alarm["AlarmActions"] == [{"Ref": "Alarms"}] for alarm in alarms)
    watched = {dimension["Name"]: dimension["Value"] for alarm in alarms for dimension in alarm.get("Dimensions", [])}
    assert watched["QueueName"]
    (overdue,) = [alarm for alarm in alarms if alarm.get("MetricName") == "OverdueSeconds"]
    assert overdue["TreatMissingData"] == "breaching", "nobody who looks is an alarm too"


def test_parked_stops_are_counted_by_their_number(template: Template) -> None:
    """The age of the oldest message, as SQS tells it, leaves out messages that were given out three times: tried again
    each minute, a parked stop would never be five minutes old."""
    alarms = of(template, "AWS::CloudWatch::Alarm")
    alarm, long = alarms["ParkedAlarm"], alarms["ParkedLongAlarm"]
    asked = {one["Id"]: one["MetricStat"]["Metric"] for one in alarm["Metrics"] if "MetricStat" in one}
    assert {metric["MetricName"] for metric in asked.values()} == {
        "ApproximateNumberOfMessagesVisible",
        "ApproximateNumberOfMessagesNotVisible",
    }
    assert all(
        metric["Dimensions"] == [{"Name": "QueueName", "Value": {"Fn::GetAtt": ["Parked", "QueueName"]}}]
        for metric in asked.values()
    )
    (said,) = [one for one in alarm["Metrics"] if one["ReturnData"]]
    assert all(name in said["Expression"] for name in asked)
    assert (alarm["EvaluationPeriods"], alarm["Threshold"]) == (5, 0)
    hours = {one["MetricStat"]["Period"] * long["EvaluationPeriods"] for one in long["Metrics"] if "MetricStat" in one}
    assert hours == {24 * 3600}, "one more while there are days left: after 14 a stop is lost"


def test_each_log_level_of_aws_is_one_of_ours(project: Path) -> None:
    """AWS says WARN where a setting of ours says WARNING: with one word for both no function would start."""
    for one in of(json.loads(packaged(project, "most").read_text()), "AWS::Lambda::Function").values():
        assert one["LoggingConfig"]["ApplicationLogLevel"] == "WARN"
        assert one["Environment"]["Variables"]["BRIDGE_LOG_LEVEL"] == "WARNING"


def test_a_function_may_do_what_it_does_and_no_more(template: Template) -> None:
    """Least privilege: exact actions on exact resources."""
    wanted = {
        "WebRole": {"logs", "secretsmanager:GetSecretValue", "sqs:SendMessage"},
        "WorkerRole": {
            *("logs", "secretsmanager:GetSecretValue", "sqs:SendMessage"),
            *("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"),
        },
        "TimetableRole": {
            *("logs", "secretsmanager:GetSecretValue", "sqs:SendMessage"),
            *("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"),
        },
    }
    roles = of(template, "AWS::IAM::Role")
    assert roles.keys() == wanted.keys()
    for name, role in roles.items():
        statements = [one for policy in role["Policies"] for one in policy["PolicyDocument"]["Statement"]]
        actions = {action for one in statements for action in _list(one["Action"])}
        assert {"logs" if action.startswith("logs:") else action for action in actions} == wanted[name]
        assert all("*" not in action for action in actions)
        assert all(resource != "*" for one in statements for resource in _list(one["Resource"]))
        assert not role.get("ManagedPolicyArns")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_switches_do_what_they_say(project: Path) -> None:
    """Snapshots, an own domain, a network of one's own, the other processor; nothing reserved where an account may not."""
    most = json.loads(packaged(project, "most").read_text())
    functions = of(most, "AWS::Lambda::Function")
    assert {name for name, one in functions.items() if one.get("SnapStart")} == {
        "WebLambdaFunction",
        "StopsLambdaFunction",
    }
    assert all(one["VpcConfig"]["SubnetIds"] for one in functions.values())
    assert all(role["ManagedPolicyArns"] for role in of(most, "AWS::IAM::Role").values())
    assert of(most, "AWS::ApiGatewayV2::DomainName")
    assert (
        functions["WebLambdaFunction"]["Environment"]["Variables"]["BRIDGE_BASE_URL"] == "https://keuzes.krant.example"
    )
    assert not any("ReservedConcurrentExecutions" in one for one in functions.values())
    assert all(one["Architectures"] == ["x86_64"] for one in functions.values())


def test_readme_names_every_switch_and_none_that_is_not_there() -> None:
    """Somebody who has never seen it can deploy from README alone; osls itself knows each command that it says to type."""
    (told,) = re.findall(
        r"^## On AWS\n(.*?)(?=^## )", (HERE / "README.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    (block,) = re.findall(
        r"^  default:\n(.*?)\n\n", (HERE / "serverless.yml").read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    switches = {"secret", "provisioned", *re.findall(r"^    (\w+):", block, re.MULTILINE)}
    assert set(re.findall(r'--param="(\w+)=', told)) <= switches
    assert not {name for name in switches if not re.search(rf"[`\"]{name}\b", told)}
    if OSLS.exists():
        known = subprocess.run([str(OSLS), "--help"], capture_output=True, text=True, timeout=60, check=True).stdout
        said = set(re.findall(r"npx\s+osls\s+(\w+(?: list)?)", told))
        assert {"deploy", "invoke", "logs", "remove", "rollback", "deploy list"} <= said
        assert not {name for name in said if not re.search(rf"^{name}  ", known, re.MULTILINE)}


def test_no_index_is_named_where_packages_come_from() -> None:
    """Lock and pins hold versions and hashes, no addresses."""
    lock = json.loads((HERE / "package-lock.json").read_text())
    assert all("resolved" not in one for one in lock["packages"].values())
    assert all("integrity" in one for name, one in lock["packages"].items() if name)
    for name in ("run", "test", "lambda"):
        assert "://" not in (HERE / "pins" / f"{name}.txt").read_text()
