"""The checklist of the monitor's specification: every test is named by the number and the sentence of its item.

What needs podman is in ``test/conmon/podman``; ``elsewhere`` says which items run in another ring or not at all, and why.
"""
