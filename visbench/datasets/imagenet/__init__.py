# SPDX-License-Identifier: Apache-2.0
"""ImageNet VID and DET: boxes of 30 classes, read from XML files or from converted JSON files."""
