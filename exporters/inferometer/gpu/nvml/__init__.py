"""NVIDIA devices by their management library, NVML: the only code that knows pynvml.

`backend` opens the library and lists devices, `device` samples one of them with the parts of this
package (`questions`, `fields`, `traffic`, `gpm`, `samples`, `mig`, `processes`), and `events`
waits for XIDs. All of them call the driver through the prepared functions of `library`.
"""
