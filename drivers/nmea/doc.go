// Package nmea reads receivers of satellite navigation and marine instruments
// that speak NMEA 0183 over a serial port.
//
// Readings:
//
//	reading        unit        sentence   what it is
//	fix                        GGA, RMC   none, gps, dgps, pps, rtk, rtk-float, estimated
//	latitude       lat         GGA, RMC   degrees, north is positive
//	longitude      lon         GGA, RMC   degrees, east is positive
//	altitude       m           GGA        above mean sea level
//	speed          m/s         RMC, VTG   over ground
//	course         deg         RMC, VTG   over ground, from true north
//	satellites                 GGA        in use
//	hdop                       GGA        how much the geometry blurs a position; 1 is good
//	wind_angle     deg         MWV        apparent, from the bow; true_wind_angle too
//	wind_speed     m/s         MWV        apparent; true_wind_speed too (also MWD)
//	wind_direction deg         MWD        from true north
//	depth          m           DPT, DBT   below the transducer
//	water_temperature  Cel     MTW
//
// Position, speed and the like come only with a fix, and those of one reading
// are of the same moment. An estimated fix (dead reckoning) has quality
// uncertain; manual and simulated ones are none.
//
// Only sentences with a checksum that is right count. Those of other kinds, AIS
// among them, are passed over. go-nmea splits and reads them; it takes NaN, the
// 31st of February and 67 minutes as they come, so that values are checked here.
//
// The time of a receiver is handed on only with a fix. Even so it can be wrong by
// 1024 weeks, as old receivers are: whoever takes it must doubt it.
package nmea
