const MONTHS = 'January February March April May June July August September October November December';
const DAYS = 'Sunday Monday Tuesday Wednesday Thursday Friday Saturday';
const DAY_MS = 86_400_000;

/** Python's `now.strftime(format)` in the C locale, as glibc has it. What it does not know stays as it is. */
export function strftime(now: Date, format: string): string {
  return format.replace(/%([-_0^#]?)([a-zA-Z%])/g, (whole, flag: string, name: string) => {
    const field = fieldOf(now, name);
    if (field === null) return whole;
    if (typeof field === 'string') return flag === '^' ? field.toUpperCase() : field;
    const [value, width, filler] = field;
    if (flag === '-') return String(value);
    return String(value).padStart(width, flag === '_' ? ' ' : flag === '0' ? '0' : filler);
  });
}

/** A text, or a number with the width and the filler that it is written with. */
function fieldOf(now: Date, name: string): string | [number, number, ' ' | '0'] | null {
  const [month, day] = [MONTHS.split(' ')[now.getMonth()]!, DAYS.split(' ')[now.getDay()]!];
  const dayOfYear = Math.round((midnight(now) - Date.UTC(now.getFullYear(), 0, 1)) / DAY_MS) + 1;
  const hour12 = now.getHours() % 12 || 12;
  const two = (value: number): [number, number, '0'] => [value, 2, '0'];
  const composed = (format: string) => strftime(now, format);
  switch (name) {
    case 'Y':
      return String(now.getFullYear());
    case 'C':
      return two(Math.floor(now.getFullYear() / 100));
    case 'y':
      return two(now.getFullYear() % 100);
    case 'm':
      return two(now.getMonth() + 1);
    case 'd':
      return two(now.getDate());
    case 'e':
      return [now.getDate(), 2, ' '];
    case 'j':
      return [dayOfYear, 3, '0'];
    case 'H':
      return two(now.getHours());
    case 'k':
      return [now.getHours(), 2, ' '];
    case 'I':
      return two(hour12);
    case 'l':
      return [hour12, 2, ' '];
    case 'M':
      return two(now.getMinutes());
    case 'S':
      return two(now.getSeconds());
    case 'f':
      return [now.getMilliseconds() * 1000, 6, '0'];
    case 'p':
      return now.getHours() < 12 ? 'AM' : 'PM';
    case 'P':
      return now.getHours() < 12 ? 'am' : 'pm';
    case 'B':
      return month;
    case 'b':
    case 'h':
      return month.slice(0, 3);
    case 'A':
      return day;
    case 'a':
      return day.slice(0, 3);
    case 'u':
      return String(now.getDay() || 7);
    case 'w':
      return String(now.getDay());
    case 'U':
      return two(Math.floor((dayOfYear + 6 - now.getDay()) / 7));
    case 'W':
      return two(Math.floor((dayOfYear + 6 - ((now.getDay() + 6) % 7)) / 7));
    case 'G':
      return String(isoWeek(now).year);
    case 'V':
      return two(isoWeek(now).week);
    case 's':
      return String(Math.floor(now.getTime() / 1000));
    case 'F':
      return composed('%Y-%m-%d');
    case 'D':
    case 'x':
      return composed('%m/%d/%y');
    case 'T':
    case 'X':
      return composed('%H:%M:%S');
    case 'R':
      return composed('%H:%M');
    case 'r':
      return composed('%I:%M:%S %p');
    case 'c':
      return composed('%a %b %e %H:%M:%S %Y');
    case 'z':
    case 'Z':
      return ''; // `datetime.now()` knows no zone
    case 'n':
      return '\n';
    case 't':
      return '\t';
    case '%':
      return '%';
    default:
      return null;
  }
}

/** The day as if it began in UTC: days are then all as long. */
function midnight(date: Date): number {
  return Date.UTC(date.getFullYear(), date.getMonth(), date.getDate());
}

/** ISO 8601: a week belongs to the year of its Thursday. */
function isoWeek(date: Date): { year: number; week: number } {
  const thursday = new Date(midnight(date) + (4 - (date.getDay() || 7)) * DAY_MS);
  const year = thursday.getUTCFullYear();
  return { year, week: Math.floor((thursday.getTime() - Date.UTC(year, 0, 1)) / DAY_MS / 7) + 1 };
}
