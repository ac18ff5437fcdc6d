# SPDX-License-Identifier: Apache-2.0
from workshop import filled_workshop, workshop

__all__ = ["filled_workshop", "workshop"]
