"""The client behind ``crioctl``: JSON files to CRI requests, answers to lines and tables.

``client`` speaks to the socket, ``configs`` reads files, ``present`` writes answers, ``pulls`` draws progress; one module for the verbs
of each kind of object; ``parser`` declares the command line.
"""
