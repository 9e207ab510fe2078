"""Jobs that are safe to kill at any moment: provisioning, password rotation, latency alerts."""

from .alerts import LatencyAlert, Threshold
from .journal import JournalBusy, JournalDamaged
from .latency import LatencyPoll, poll_latency, watch_latency
from .provisioning import ProvisionedTrunk, ProvisionReport, provision_trunks
from .rotation import rotate_passwords
from .rotation_report import RotationReport, UnrotatedTrunk

__all__ = [
    "JournalBusy",
    "JournalDamaged",
    "LatencyAlert",
    "LatencyPoll",
    "ProvisionReport",
    "ProvisionedTrunk",
    "RotationReport",
    "Threshold",
    "UnrotatedTrunk",
    "poll_latency",
    "provision_trunks",
    "rotate_passwords",
    "watch_latency",
]
