# SPDX-License-Identifier: Apache-2.0
"""Speed and memory of methods, stage by stage and against the length of a video."""
