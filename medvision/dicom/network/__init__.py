"""The PACS side: receive, find, fetch and send DICOM objects over the network.

What arrives is written whole or not at all (`inbox`); a study is complete by quiet time, count or MPPS
(`arrivals`, `procedures`); all of it is known again after a kill, because what is known lies in files.
Nothing here logs or keeps a patient's name or ID outside the objects themselves.
"""
