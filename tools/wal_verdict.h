/*
 * What the letter of a log's verdict means (the table of wal/recovery_cases.c), for people.
 */
#ifndef KEEL_TOOLS_WAL_VERDICT_H
#define KEEL_TOOLS_WAL_VERDICT_H

#include "wal/recovery_cases.h"

static inline const char *wal_verdict_meaning(char letter)
{
    for (unsigned i = 0; recovery_case_at(i); i++) {
        if (recovery_case_at(i)->letter == letter)
            return recovery_case_at(i)->meaning;
    }
    return "";
}

#endif
