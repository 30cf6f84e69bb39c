// Package modbus speaks Modbus as a client: requests and answers, on a serial
// line (RTU) and over TCP. It opens nothing; a Line or a Stream is given to it.
//
// By "MODBUS Application Protocol Specification V1.1b3" (requests, exceptions),
// "MODBUS over Serial Line V1.02" (RTU) and "MODBUS Messaging on TCP/IP
// Implementation Guide V1.0b" (TCP). Addresses count from 0, as on the wire: what
// a manual calls 40001 is holding register 0.
//
// The libraries that exist open their ports themselves, and take what comes late
// for the answer to the next request.
package modbus
