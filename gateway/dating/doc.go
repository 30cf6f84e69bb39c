// Package dating gives the time of day to what happened before anybody knew it.
//
// A board without a battery for its clock does not know the time when it comes up.
// What the gateway has to say meanwhile is dated by the uptime of the board
// (gateway.Undated), names the boot, and is queued at once, like all else:
//
//	{"v":1,"boot":"5c1f…","readings":[{…,"time":"1900-01-01T00:00:42.125Z"}]}
//
// As it is sent, a [Dater] puts in what is known by then. [Starts] has the start of each
// boot, if the time became known before it ended:
//
//	{"v":1,"readings":[{…,"time":"2027-03-05T12:00:42.125Z"}]}
//
// If not, the time is estimated. It is the earliest that is possible; time_to is the
// latest, and left out for as long as the boot goes on:
//
//	{"v":1,"boot":"5c1f…","time_to":"2027-03-05T17:30:00.000Z","readings":[
//	  {…,"time":"2027-03-05T09:00:42.125Z","time_estimated":true,"uptime":42.125}]}
//
// A message that is sent again says the same again: the start of a boot is on the card
// before anything is dated by it, and does not change any more.
package dating
