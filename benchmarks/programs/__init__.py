"""The contenders: each file is a program of its own.

A program is run by the interpreter of its own virtual environment, which has nothing of
this repository but, where it is measured, the SDK. So none of them imports another.
"""
