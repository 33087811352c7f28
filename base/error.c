/*
 * Names, texts, errno values and classes of error codes, all from the table in keel/error.h.
 */
#include <keel/error.h>

#include <stddef.h>
#include <string.h>

#define ERRNO_MAX 4095 /* the largest value the kernel returns as an error */

struct error_row {
    int code;
    int parent;
    enum keel_err_class cls;
    const char *name;
    const char *text;
};

static const struct error_row error_rows[] = {
#define ERROR_ROW(name, value, parent, class_, sentence) \
    {(value), (parent), KEEL_CLASS_##class_, #name, (sentence)},
    KEEL_ERRORS(ERROR_ROW)
#undef ERROR_ROW
};

#define ERROR_CHECK(name, value, parent, class_, sentence) \
    _Static_assert((value) <= -5000 && (parent) > 0 && (parent) <= ERRNO_MAX, #name);
KEEL_ERRORS(ERROR_CHECK)
#undef ERROR_CHECK

static const struct error_row *find_row(int code)
{
    for (size_t i = 0; i < sizeof(error_rows) / sizeof(error_rows[0]); i++) {
        if (error_rows[i].code == code)
            return &error_rows[i];
    }
    return NULL;
}

static int is_errno(int code)
{
    return code < 0 && code >= -ERRNO_MAX;
}

static enum keel_err_class class_of_errno(int err)
{
    switch (err) {
    case EAGAIN:
    case EINTR:
    case EBUSY:
    case EINPROGRESS:
    case EALREADY:
    case EDEADLK:
    case ENOMEM:
    case ENOBUFS:
    case ETIME:
    case ETIMEDOUT:
        return KEEL_CLASS_RETRY;
    case EIO: /* media errors arrive as EIO or ENODATA */
    case ENODATA:
    case EILSEQ: /* protection information did not match */
    case EBADMSG:
    case EUCLEAN: /* the file system found damage */
    case EREMOTEIO:
        return KEEL_CLASS_CORRUPT;
    case ENODEV: /* the device went away */
    case ENXIO:
    case ESHUTDOWN:
    case EROFS: /* the file system turned itself read-only */
        return KEEL_CLASS_FATAL;
    default:
        return KEEL_CLASS_REQUEST;
    }
}

const char *keel_err_name(int code)
{
    if (code >= 0)
        return "OK";

    const struct error_row *row = find_row(code);
    if (row)
        return row->name;

    const char *name = is_errno(code) ? strerrorname_np(-code) : NULL;
    return name ? name : "UNKNOWN";
}

const char *keel_err_text(int code)
{
    if (code >= 0)
        return "no error";

    const struct error_row *row = find_row(code);
    if (row)
        return row->text;

    const char *text = is_errno(code) ? strerrordesc_np(-code) : NULL;
    return text ? text : "an error code that keel does not know";
}

int keel_err_errno(int code)
{
    if (code >= 0)
        return 0;
    if (is_errno(code))
        return -code;

    const struct error_row *row = find_row(code);
    return row ? row->parent : EIO;
}

enum keel_err_class keel_err_class(int code)
{
    if (code >= 0)
        return KEEL_CLASS_NONE;
    if (is_errno(code))
        return class_of_errno(-code);

    const struct error_row *row = find_row(code);
    return row ? row->cls : KEEL_CLASS_FATAL;
}

const char *keel_err_class_name(enum keel_err_class cls)
{
    switch (cls) {
    case KEEL_CLASS_NONE:
        return "none";
    case KEEL_CLASS_RETRY:
        return "retry";
    case KEEL_CLASS_REQUEST:
        return "request";
    case KEEL_CLASS_CORRUPT:
        return "corrupt";
    case KEEL_CLASS_FATAL:
        return "fatal";
    }
    return "none";
}
