/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <sys/random.h>

#include "base/mem.h"
#include "instance/home.h"

static const char *const adjectives[] = {
    "agile",  "amber",  "ample",  "azure",  "bold",     "breezy", "bright",  "brisk", "calm",
    "candid", "clear",  "coral",  "cosy",   "crisp",    "deft",   "distant", "eager", "early",
    "fair",   "fleet",  "fond",   "fresh",  "gentle",   "glad",   "golden",  "grand", "green",
    "happy",  "hidden", "humble", "jolly",  "keen",     "kind",   "lively",  "lofty", "lucid",
    "lunar",  "mellow", "merry",  "mild",   "misty",    "modest", "neat",    "noble", "placid",
    "polar",  "prompt", "proud",  "quiet",  "rapid",    "ready",  "rocky",   "rosy",  "sandy",
    "serene", "sharp",  "silent", "silver", "sleek",    "smooth", "snug",    "solar", "steady",
    "sunny",  "swift",  "tidal",  "tidy",   "tranquil", "vivid",  "warm",    "wild",  "windy",
    "witty",  "zesty"};
static const char *const nouns[] = {
    "anchor",  "archipelago", "atoll",    "bay",    "beach",      "beacon",   "bluff",    "breaker",
    "buoy",    "cape",        "cay",      "cliff",  "cove",       "crab",     "creek",    "current",
    "delta",   "dolphin",     "dune",     "ferry",  "fjord",      "gannet",   "grotto",   "gull",
    "harbour", "haven",       "headland", "heron",  "holm",       "inlet",    "island",   "isle",
    "jetty",   "kelp",        "key",      "lagoon", "lighthouse", "mangrove", "marina",   "mole",
    "mussel",  "narrows",     "ness",     "osprey", "otter",      "oyster",   "palm",     "pebble",
    "pelican", "petrel",      "pier",     "plover", "point",      "pool",     "puffin",   "quay",
    "reef",    "ridge",       "rock",     "sail",   "sandbar",    "seal",     "shallows", "shell",
    "shoal",   "shore",       "skerry",   "sound",  "spit",       "strait",   "surf",     "tern",
    "tide",    "volcano",     "wave",     "whale",  "wharf"};

void name_generate(char *buf, size_t size, unsigned attempt)
{
    uint32_t r[3] = {0};

    /* Names need no secrecy: should the call fail, the collision check does the rest. */
    if (getrandom(r, sizeof r, 0) < 0)
        r[0] = (uint32_t)home_now();
    if (attempt < 8)
        snprintf(buf, size, "%s_%s", adjectives[r[0] % array_size(adjectives)],
                 nouns[r[1] % array_size(nouns)]);
    else
        snprintf(buf, size, "%s_%s%u", adjectives[r[0] % array_size(adjectives)],
                 nouns[r[1] % array_size(nouns)], (unsigned)(r[2] % 100000));
}
