/* Record timestamps: see timestamp.h. */
#include "conmon/timestamp.h"

#include <stdbool.h>

#define QUARTER_S 900

static void put_digits(char *at, uint32_t value, int digits)
{
    for (int i = digits - 1; i >= 0; i--) {
        at[i] = (char)('0' + value % 10);
        value /= 10;
    }
}

/* The proleptic Gregorian date of a day counted from 1970-01-01: years start in March here, so that the leap day is
 * the last one and 153 days make five months. */
static void put_date(char *at, int64_t day)
{
    int64_t shifted = day + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t march_month = (5 * day_of_year + 2) / 153;
    int64_t month = march_month < 10 ? march_month + 3 : march_month - 9;
    int64_t year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);

    put_digits(at, (uint32_t)year, 4);
    at[4] = '-';
    put_digits(at + 5, (uint32_t)month, 2);
    at[7] = '-';
    put_digits(at + 8, (uint32_t)(day_of_year - (153 * march_month + 2) / 5 + 1), 2);
}

static void put_second(struct timestamp *stamp, int64_t second, int32_t offset_s)
{
    int64_t local = second + offset_s;
    int64_t day = local >= 0 ? local / 86400 : -((86399 - local) / 86400);
    uint32_t rest = (uint32_t)(local - day * 86400);
    uint32_t offset_minutes = (uint32_t)(offset_s < 0 ? -offset_s : offset_s) / 60;
    char *at = stamp->text;

    put_date(at, day);
    at[10] = 'T';
    put_digits(at + 11, rest / 3600, 2);
    at[13] = ':';
    put_digits(at + 14, rest / 60 % 60, 2);
    at[16] = ':';
    put_digits(at + 17, rest % 60, 2);
    at[19] = '.';
    at[29] = offset_s < 0 ? '-' : '+';
    put_digits(at + 30, offset_minutes / 60, 2);
    at[32] = ':';
    put_digits(at + 33, offset_minutes % 60, 2);
    at[TIMESTAMP_BYTES] = '\0';
}

void timestamp_set_at(struct timestamp *stamp, const struct timespec *now, int32_t offset_s)
{
    if (stamp->text[0] == '\0' || stamp->second != now->tv_sec || stamp->offset_s != offset_s) {
        stamp->second = now->tv_sec;
        stamp->offset_s = offset_s;
        put_second(stamp, now->tv_sec, offset_s);
    }
    put_digits(stamp->text + 20, (uint32_t)now->tv_nsec, 9);
}

void timestamp_set(struct timestamp *stamp, const struct timespec *now)
{
    int64_t quarter = now->tv_sec / QUARTER_S;
    int32_t offset_s = stamp->offset_s;

    if (stamp->text[0] == '\0' || stamp->offset_from != quarter) {
        struct tm local;
        time_t second = now->tv_sec;

        offset_s = localtime_r(&second, &local) != NULL ? (int32_t)local.tm_gmtoff : 0;
        stamp->offset_from = quarter;
    }
    timestamp_set_at(stamp, now, offset_s);
}
