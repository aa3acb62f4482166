"""Worker functions for the executor tests; workers import this module by name."""

import os
import signal
import time

import numpy as np

left = []


def setup(shared):
    return shared


def bad_setup(shared):
    raise ValueError("no context today")


def run(context, payload, report):
    for step in range(payload.get("steps", 0)):
        report({"step": step})
    for step in range(payload.get("patient", 0)):
        if report({"step": step}):
            return {"double": 2 * (step + 1)}
        time.sleep(0 if context.get("hurry") else 0.01)
    if payload.get("patient"):
        return {"double": 2 * payload["patient"]}
    if payload.get("marker") and not os.path.exists(payload["marker"]):
        open(payload["marker"], "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    if payload.get("die"):
        os.kill(os.getpid(), signal.SIGKILL)
    if payload.get("raise"):
        raise RuntimeError("two\nlines")
    if payload.get("forever"):
        time.sleep(3600)
    if payload.get("leave"):
        left.append(np.ones(payload["leave"] // 8))
    if payload.get("hold"):
        left.append(np.ones(payload["hold"] // 8))
        time.sleep(1)
    if payload.get("eat"):
        eaten = np.ones(payload["eat"] // 8)
        time.sleep(3600)
        return {"eaten": float(eaten.sum())}
    table = context.get("table")
    total = None if table is None else int(table.sum())
    return {
        "double": 2 * payload.get("x", 0),
        "total": total,
        "pid": os.getpid(),
        "device": context.get("device"),
    } | payload.get("more", {})
