// SPDX-License-Identifier: GPL-2.0
/*
 * i2c-hil: I2C adapters whose far side is a program. To the rest of the kernel
 * they are like any other: i2c-dev, I2C_RDWR, the drivers of chips, IIO, hwmon.
 *
 * There are as many as the parameter `buses` says. Number n is /dev/i2c-n to
 * those who use the bus, and /dev/i2c-hil-n to the one program that plays the
 * chips. That reads one transfer at a time and answers it, all in the byte
 * order of the machine:
 *
 *   read:   u32 serial number, u16 count of messages, then for each of them
 *           u16 address, u16 flags (1: the chip speaks), u16 length, and its
 *           bytes unless the chip speaks
 *   write:  u32 serial number, s32 0 or a negative errno, then the bytes of all
 *           messages in which the chip speaks
 *
 * An answer to another transfer than the one that waits is refused with ESTALE,
 * so that a late answer is never taken for the next one. A transfer that is not
 * answered in a second ends as on a bus that is held low: ETIMEDOUT. Without a
 * program there is nobody on the bus: ENXIO.
 */
#include <linux/i2c.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#define MAX_BUSES 8
#define MAX_BYTES 8192

static unsigned int buses = 1;
module_param(buses, uint, 0444);
MODULE_PARM_DESC(buses, "how many adapters, from number 1 on");

enum stage { IDLE, ASKED, TAKEN, ANSWERED };

struct hil {
	struct i2c_adapter adapter;
	struct miscdevice chips;
	char name[16];
	wait_queue_head_t changed;
	struct mutex lock; /* of all that follows */
	bool served;
	enum stage stage;
	u32 serial;
	size_t asked, answered; /* bytes */
	u8 question[MAX_BYTES], answer[MAX_BYTES];
};

static struct hil *hils[MAX_BUSES];

static bool chip_speaks(const struct i2c_msg *m)
{
	return m->flags & I2C_M_RD;
}

/* ask lays the transfer out for the program. Called with the lock held. */
static int ask(struct hil *h, struct i2c_msg *msgs, int n)
{
	u16 count = n;
	size_t at = sizeof(u32) + sizeof(u16);
	int i;

	h->serial++;
	memcpy(h->question, &h->serial, sizeof(u32));
	memcpy(h->question + sizeof(u32), &count, sizeof(u16));
	for (i = 0; i < n; i++) {
		u16 head[3] = { msgs[i].addr, chip_speaks(&msgs[i]), msgs[i].len };
		size_t body = chip_speaks(&msgs[i]) ? 0 : msgs[i].len;

		if (at + sizeof(head) + body > MAX_BYTES)
			return -EMSGSIZE;
		memcpy(h->question + at, head, sizeof(head));
		memcpy(h->question + at + sizeof(head), msgs[i].buf, body);
		at += sizeof(head) + body;
	}
	h->asked = at;
	h->stage = ASKED;
	return 0;
}

/* deliver hands the answer to the master. Called with the lock held. */
static int deliver(struct hil *h, struct i2c_msg *msgs, int n)
{
	size_t at = sizeof(u32) + sizeof(s32);
	s32 result;
	int i;

	memcpy(&result, h->answer + sizeof(u32), sizeof(result));
	if (result < 0)
		return result;
	for (i = 0; i < n; i++) {
		if (!chip_speaks(&msgs[i]))
			continue;
		if (at + msgs[i].len > h->answered)
			return -EPROTO;
		memcpy(msgs[i].buf, h->answer + at, msgs[i].len);
		at += msgs[i].len;
	}
	return n;
}

static int hil_transfer(struct i2c_adapter *a, struct i2c_msg *msgs, int n)
{
	struct hil *h = i2c_get_adapdata(a);
	int ret;

	mutex_lock(&h->lock);
	ret = h->served ? ask(h, msgs, n) : -ENXIO;
	mutex_unlock(&h->lock);
	if (ret)
		return ret;
	wake_up_all(&h->changed);
	wait_event_timeout(h->changed, READ_ONCE(h->stage) == ANSWERED, a->timeout);
	mutex_lock(&h->lock);
	ret = h->stage == ANSWERED ? deliver(h, msgs, n) : -ETIMEDOUT;
	h->stage = IDLE;
	mutex_unlock(&h->lock);
	return ret;
}

static u32 hil_functions(struct i2c_adapter *a)
{
	return I2C_FUNC_I2C | (I2C_FUNC_SMBUS_EMUL & ~I2C_FUNC_SMBUS_QUICK);
}

static const struct i2c_algorithm hil_algorithm = {
	.master_xfer = hil_transfer,
	.functionality = hil_functions,
};

static struct hil *of(struct file *f)
{
	return container_of(f->private_data, struct hil, chips);
}

static int chips_open(struct inode *i, struct file *f)
{
	struct hil *h = of(f);
	int ret = 0;

	mutex_lock(&h->lock);
	if (h->served)
		ret = -EBUSY;
	h->served = true;
	mutex_unlock(&h->lock);
	return ret;
}

static int chips_release(struct inode *i, struct file *f)
{
	struct hil *h = of(f);

	mutex_lock(&h->lock);
	h->served = false;
	mutex_unlock(&h->lock);
	return 0;
}

static ssize_t chips_read(struct file *f, char __user *to, size_t n, loff_t *o)
{
	struct hil *h = of(f);
	ssize_t ret;

	do {
		if (wait_event_interruptible(h->changed, READ_ONCE(h->stage) == ASKED))
			return -ERESTARTSYS;
		mutex_lock(&h->lock);
		if (h->stage != ASKED)
			ret = -EAGAIN; /* the master has given up meanwhile */
		else if (n < h->asked)
			ret = -EINVAL;
		else if (copy_to_user(to, h->question, h->asked))
			ret = -EFAULT;
		else {
			ret = h->asked;
			h->stage = TAKEN;
		}
		mutex_unlock(&h->lock);
	} while (ret == -EAGAIN);
	return ret;
}

static ssize_t chips_write(struct file *f, const char __user *from, size_t n, loff_t *o)
{
	struct hil *h = of(f);
	ssize_t ret = n;
	u32 serial;

	if (n < sizeof(u32) + sizeof(s32) || n > MAX_BYTES)
		return -EINVAL;
	if (copy_from_user(&serial, from, sizeof(serial)))
		return -EFAULT;
	mutex_lock(&h->lock);
	if (h->stage != TAKEN || serial != h->serial)
		ret = -ESTALE;
	else if (copy_from_user(h->answer, from, n))
		ret = -EFAULT;
	else {
		h->answered = n;
		h->stage = ANSWERED;
	}
	mutex_unlock(&h->lock);
	wake_up_all(&h->changed);
	return ret;
}

static const struct file_operations chips_operations = {
	.owner = THIS_MODULE,
	.open = chips_open,
	.release = chips_release,
	.read = chips_read,
	.write = chips_write,
};

static int hil_add(unsigned int number)
{
	struct hil *h = kzalloc(sizeof(*h), GFP_KERNEL);
	int ret;

	if (!h)
		return -ENOMEM;
	mutex_init(&h->lock);
	init_waitqueue_head(&h->changed);
	snprintf(h->name, sizeof(h->name), "i2c-hil-%u", number);
	h->chips.minor = MISC_DYNAMIC_MINOR;
	h->chips.name = h->name;
	h->chips.fops = &chips_operations;
	ret = misc_register(&h->chips);
	if (ret)
		goto no_chips;
	strscpy(h->adapter.name, h->name, sizeof(h->adapter.name));
	h->adapter.owner = THIS_MODULE;
	h->adapter.algo = &hil_algorithm;
	h->adapter.timeout = HZ;
	h->adapter.nr = number;
	i2c_set_adapdata(&h->adapter, h);
	ret = i2c_add_numbered_adapter(&h->adapter);
	if (ret)
		goto no_adapter;
	hils[number - 1] = h;
	return 0;

no_adapter:
	misc_deregister(&h->chips);
no_chips:
	kfree(h);
	return ret;
}

static void hil_remove_all(void)
{
	unsigned int i;

	for (i = 0; i < MAX_BUSES; i++) {
		if (!hils[i])
			continue;
		i2c_del_adapter(&hils[i]->adapter);
		misc_deregister(&hils[i]->chips);
		kfree(hils[i]);
		hils[i] = NULL;
	}
}

static int __init hil_init(void)
{
	unsigned int i;
	int ret;

	if (buses < 1 || buses > MAX_BUSES)
		return -EINVAL;
	for (i = 1; i <= buses; i++) {
		ret = hil_add(i);
		if (ret) {
			hil_remove_all();
			return ret;
		}
	}
	return 0;
}

static void __exit hil_exit(void)
{
	hil_remove_all();
}

module_init(hil_init);
module_exit(hil_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("I2C adapters answered by a program, for tests");
