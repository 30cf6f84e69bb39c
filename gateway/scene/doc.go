// Package scene makes devices of several others: groups, whose members do the same
// at once, and scenes, which do one thing after the other.
//
//	command ─→ group ─┬→ Door ─→ member      command ─→ scene ─→ Door ─→ step 1
//	                  └→ Door ─→ member                    └───→ Door ─→ step 2 …
//
// Both take commands as any device does. What they are made of goes through the Door
// as commands of their own, <id>/1, <id>/2 and so on, with the origin of the first:
// each is journalled, judged and reported by itself. So the journal knows how far a
// scene was when the power failed; it goes on from there, and no step is carried out
// twice. What only the scene knows (a condition that was judged, a pause that is
// over, a step that was given up) it keeps in its memory.
//
// Each has an end: after a scene's time nothing more of it is begun, neither by the
// scene nor by a step that waits for its device, whether or not the gateway was
// started anew in between. If the board was too, and nobody knows what time it is,
// nothing is gone on with.
package scene
