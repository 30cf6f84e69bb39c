// Package sysfs reads the health of the board itself from /sys and /proc.
//
// Readings, by name and unit. What there can be several of has a dot and its
// own name behind it: the mount point with "/" as root and other slashes as _,
// or the network interface; signs other than a-z, 0-9, _ and . become _.
//
//	cpu_temperature       Cel  of the processor, or the board's first thermal zone
//	cpu_busy              %    of all cores, between this read and the one before
//	load_1m load_5m load_15m   tasks that run or wait, averaged
//	memory_total          By
//	memory_available      By   what programs can still get without swapping
//	memory_used           %    the rest
//	swap_used             By   where there is swap
//	uptime                s    since the start of the kernel
//	disk_free.root        By   that a program without privileges can have
//	disk_used.root        %    as df says it
//	disk_read.root        By   counters of the mount's block device, since the
//	disk_written.root     By   start of the kernel
//	disk_life_used.root   %    of an eMMC, as it says itself, in steps of 10; 110 is beyond
//	disk_written_in_life.root By  to an ext4 file system since it was made
//	disk_errors.root           errors that ext4 has found
//	network_up.eth0            whether there is a link
//	network_received.eth0 By   counters since the interface was made
//	network_sent.eth0     By
//	network_signal.wlan0  dBm  of the access point, as heard here
//	network_receive_errors.eth0, network_send_errors.eth0
//	network_receive_drops.eth0, network_send_drops.eth0
//	undervoltage, undervoltage_since_start    of a Raspberry Pi
//	throttled, throttled_since_start          likewise
//
// Counters begin again at 0 when the board restarts or an interface is made
// anew: that is the receiver's to notice, by a value below the one before.
//
// A file that this machine does not have is no error: its readings are left
// out. One that is there and cannot be understood is an error, and so is a
// value that cannot be true; the other readings come all the same.
package sysfs
