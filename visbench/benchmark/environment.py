# SPDX-License-Identifier: Apache-2.0
"""What a bug report needs: machine, versions, devices and which operators are in use."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, requires, version

from visbench.benchmark.machine import machine, versions

UPSTREAM = ("mmengine", "mmcv", "mmcv-lite", "mmcv-full", "mmdet")
"""Distributions of OpenMMLab that ``onedl-*`` succeeds; an installed one is worth knowing."""

Facts = dict[str, dict[str, str]]


def environment() -> tuple[Facts, str]:
    """Return facts in sections, and what keeps visbench from being imported (or nothing).

    Sections are ``versions``, ``machine``, ``devices``, ``operators`` and ``extras``; one that
    cannot be found out says why. The host's name, paths and environment variables are left out.
    """
    sections: dict[str, Callable[[], dict[str, str]]] = {
        "versions": lambda: {**versions(), **_installed(UPSTREAM)},
        "machine": lambda: {"machine": machine(), **_from_mmengine()},
        "devices": devices,
        "operators": operators,
        "extras": extras,
    }
    facts: Facts = {}
    problem = ""
    for name, find in sections.items():
        try:
            facts[name] = find()
        except Exception as error:  # a report about a broken installation is what it is for
            facts[name] = {"unknown": f"{type(error).__name__}: {error}"}
            problem = problem or f"{name}: {type(error).__name__}: {error}"
    return facts, problem


def _installed(names: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _from_mmengine() -> dict[str, str]:
    """Return compilers and libraries as MMEngine finds them."""
    from mmengine.utils.dl_utils import collect_env

    wanted = ("GCC", "NVCC", "OpenCV", "PyTorch compiling details")
    found = {name: str(value).strip() for name, value in collect_env().items() if name in wanted}
    details = found.get("PyTorch compiling details", "").splitlines()
    # All flags of the compiler are a screenful, and follow from the version.
    short = [line for line in details if "Build settings" not in line]
    return {**found, "PyTorch compiling details": "\n".join(short)}


def devices() -> dict[str, str]:
    """Return CUDA and MPS devices, the threads of the CPU and what PyTorch was built for."""
    import torch

    found = {"CUDA of the build": torch.version.cuda or torch.version.hip or "none"}
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        facts = torch.cuda.get_device_properties(index)
        memory = facts.total_memory / 2**30
        name = f"{facts.name}, {memory:.0f} GiB, compute capability {facts.major}.{facts.minor}"
        found[f"cuda:{index}"] = name
    if not torch.cuda.is_available():
        found["cuda"] = "none"
    found["mps"] = "available" if torch.backends.mps.is_available() else "none"
    found["CPU threads"] = str(torch.get_num_threads())
    return found


def operators() -> dict[str, str]:
    """Return for MMCV's operators whether they are compiled, native or missing."""
    import visbench.registry  # noqa: F401  (refuses distributions that overwrite each other)
    from visbench.ops.extension import ATTENTION_FUNCTION, OPERATORS, setup_operators

    if not setup_operators():
        return {
            "mmcv._ext": f"compiled (onedl-mmcv {_installed(('onedl-mmcv',)).get('onedl-mmcv')})"
        }
    kinds = sorted({name.rsplit("_forward", 1)[0] for name in OPERATORS if "backward" not in name})
    kinds = [name for name in kinds if not name.startswith("get_")]
    return {
        "mmcv._ext": "not compiled: visbench's native operators stand in",
        "native": ", ".join(kinds),
        "others": "missing (calling one raises MissingOperatorError)",
        ATTENTION_FUNCTION: "visbench's",
    }


def extras() -> dict[str, str]:
    """Return for each extra of visbench whether its packages are installed."""
    found: dict[str, list[str]] = {}
    for requirement in _requirements():
        package, _, marker = requirement.partition(";")
        extra = marker.partition("extra == ")[2].strip().strip("\"')")
        if extra:
            name = package.split("[")[0].split("<")[0].split(">")[0].split("=")[0].strip()
            installed = _installed((name,)).get(name, "missing")
            found.setdefault(extra, []).append(f"{name} {installed}")
    return {extra: ", ".join(packages) for extra, packages in found.items()}


def _requirements() -> list[str]:
    try:
        return requires("visbench") or []
    except PackageNotFoundError:
        return []


def as_text(facts: Facts) -> str:
    """Return the facts as text that can be pasted into an issue."""
    lines: list[str] = []
    for section, entries in facts.items():
        lines.append(f"{section}:")
        for name, value in entries.items():
            first, *more = str(value).splitlines() or [""]
            lines += [f"  {name}: {first}", *(f"    {line.strip()}" for line in more)]
    return "\n".join(lines)
