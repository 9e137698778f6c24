"""The frame path on a device: upload, prepare, network and peaks in one go, only peaks come back.

`frames` brings pictures to the device, `crops` and `whole_frame` are the paths of top-down and bottom-up,
`job` one shape of either made ready, `graphs` its capture.
"""
