# Modbus units 3 and 7 on the serial port that is named, by pymodbus.
import sys

from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext
from pymodbus.server import StartSerialServer
from pymodbus.transaction import ModbusRtuFramer


def unit():
    return ModbusSlaveContext(
        zero_mode=True,
        co=ModbusSequentialDataBlock(0, [0] * 20),
        di=ModbusSequentialDataBlock(0, [0, 1] * 10),
        hr=ModbusSequentialDataBlock(0, list(range(1000, 1020))),
        ir=ModbusSequentialDataBlock(0, [0x41AC, 0x0000] * 10),  # 21.5 as float32
    )


StartSerialServer(
    context=ModbusServerContext(slaves={3: unit(), 7: unit()}, single=False),
    framer=ModbusRtuFramer, port=sys.argv[1], baudrate=19200, bytesize=8, parity="N", stopbits=1, timeout=0.005,
)
